/* Runs a sketch's setup, and its loop once; what it prints goes to standard output. */
#include "Arduino.h"

#include <stdio.h>
#include <time.h>

Port Serial;

void Port::begin(unsigned long) {}

void Port::print(const char *text)
{
    printf("%s", text);
}

void Port::print(long number)
{
    printf("%ld", number);
}

void Port::println(const char *text)
{
    printf("%s\n", text);
}

void Port::println(long number)
{
    printf("%ld\n", number);
}

unsigned long micros(void)
{
    return static_cast<unsigned long>(clock() * (1000000 / CLOCKS_PER_SEC));
}

void delay(unsigned long) {}

int main()
{
    setup();
    loop();
    return 0;
}
