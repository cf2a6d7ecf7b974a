# larderctl. Of the two programs' parts it takes the settings tables, for `larderctl check`.
add_library(larder_cli_parts STATIC
	cli/agent_option.c cli/args.c cli/client.c cli/cmd.c cli/cmd_check.c cli/cmd_doctor.c cli/cmd_evict.c cli/cmd_history.c
	cli/cmd_hold.c cli/cmd_holds.c cli/cmd_inuse.c cli/cmd_release.c
	cli/cmd_models.c cli/cmd_nodes.c cli/cmd_pin.c cli/cmd_pins.c cli/cmd_plan.c cli/cmd_status.c
	cli/cmd_touch.c cli/cmd_unpin.c cli/doctor_coordinator.c
	cli/doctor_info.c cli/doctor_nodes.c cli/doctor_redis.c cli/field.c cli/findings.c cli/human.c cli/receipts.c cli/table.c)
target_link_libraries(larder_cli_parts PUBLIC larder_agent_parts larder_coordinator_parts
	PkgConfig::CURL PRIVATE larder_warnings)
add_executable(larderctl cli/main.c)
target_link_libraries(larderctl PRIVATE larder_cli_parts larder_warnings)
