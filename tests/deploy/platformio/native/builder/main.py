"""Builds a PlatformIO project with this computer's GCC, and runs it."""

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
env.Tool("gcc")
env.Tool("g++")
program = env.BuildProgram()
run = env.VerboseAction("$SOURCE $PROGRAM_ARGS", "Running $SOURCE")
AlwaysBuild(env.Alias("exec", program, run))
Default([program])
