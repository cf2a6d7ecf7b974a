# The benchmarks: C programs that link Larder's own libraries. scripts/bench builds and runs them.
add_library(larder_bench STATIC
	tests/bench/bench.c tests/bench/fleet.c tests/bench/samples.c tests/bench/server.c)
target_link_libraries(larder_bench PUBLIC larder_common PRIVATE larder_warnings)
target_compile_definitions(larder_bench PRIVATE
	LARDER_REDIS_CONF="${CMAKE_CURRENT_SOURCE_DIR}/docs/redis.conf")

function(larder_benchmark name)
	cmake_parse_arguments(BENCH "" "" "SOURCES;LIBRARIES;OPTIONS" ${ARGN})
	add_executable(bench_${name} tests/bench/${name}.c ${BENCH_SOURCES})
	target_link_libraries(bench_${name} PRIVATE larder_bench ${BENCH_LIBRARIES} larder_warnings)
	target_link_options(bench_${name} PRIVATE ${BENCH_OPTIONS})
	if("tests/bench/agents.c" IN_LIST BENCH_SOURCES) # their agents have no journals
		target_link_options(bench_${name} PRIVATE -Wl,--wrap=journal_epoch)
	endif()
endfunction()

# The coordinator's pause between two windows is taken out by the linker, in benchmarks only.
larder_benchmark(selection SOURCES tests/bench/agents.c tests/bench/coord.c tests/bench/rival.c
	LIBRARIES larder_agent_parts larder_coordinator_parts OPTIONS -Wl,--wrap=event_add)

larder_benchmark(beat SOURCES tests/bench/agents.c LIBRARIES larder_agent_parts
	OPTIONS -Wl,--wrap=journal_note_use -Wl,--wrap=journal_id -Wl,--wrap=journal_receipts)

# The worker of agent/worker.c is replaced by one without a disk; what the agents hear and what
# Redis has taken is looked at in passing.
larder_benchmark(lifecycle SOURCES tests/bench/agents.c tests/bench/coord.c tests/bench/crowd.c
	LIBRARIES larder_agent_parts larder_coordinator_parts
	OPTIONS -Wl,--wrap=event_add -Wl,--wrap=orders_hear -Wl,--wrap=journal_confirmed
		-Wl,--wrap=worker_remove -Wl,--wrap=worker_scan -Wl,--wrap=fdatasync -Wl,--wrap=fsync)

larder_benchmark(scan SOURCES tests/bench/caches.c LIBRARIES larder_agent_parts)
target_compile_definitions(bench_scan PRIVATE
	BENCH_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}/tests/bench")

larder_benchmark(delete SOURCES tests/bench/caches.c LIBRARIES larder_agent_parts)
# It runs the agent's program itself.
larder_benchmark(use SOURCES tests/bench/caches.c tests/bench/engines.c)
add_dependencies(bench_use larder-agent)
target_compile_definitions(bench_use PRIVATE
	BENCH_ENGINE_DATA="${CMAKE_CURRENT_SOURCE_DIR}/tests/data/engines")

larder_benchmark(footprint SOURCES tests/bench/agents.c tests/bench/caches.c
	LIBRARIES larder_agent_parts)
add_dependencies(bench_footprint larder-agent larder-coordinator)
target_compile_definitions(bench_footprint PRIVATE
	LARDER_AGENT="$<TARGET_FILE:larder-agent>"
	LARDER_COORDINATOR="$<TARGET_FILE:larder-coordinator>")
