# One list of warnings for all of Larder's own code; each is an error.
add_library(larder_warnings INTERFACE)
target_compile_options(larder_warnings INTERFACE
	-Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wcast-align
	-Wimplicit-fallthrough -Wnull-dereference)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(larder_warnings INTERFACE -Wlogical-op -Wduplicated-cond
		-Wduplicated-branches -Wno-format-truncation)
endif()
