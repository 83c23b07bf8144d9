/* What the sketches of the tests call, on the computer they are compiled on. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

unsigned long micros(void);
void delay(unsigned long ms);

#ifdef __cplusplus
}

struct Port
{
    void begin(unsigned long baud);
    void print(const char *text);
    void print(long number);
    void println(const char *text = "");
    void println(long number);
};

extern Port Serial;

void setup();
void loop();
#endif

#endif
