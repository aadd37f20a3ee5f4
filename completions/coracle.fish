# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_coracle_global_optspecs
    string join \n config= c/context= D/debug H/host= l/log-level= v/version
end

function __fish_coracle_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_coracle_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_coracle_using_subcommand
    set -l cmd (__fish_coracle_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c coracle -n "__fish_coracle_needs_command" -l config -d 'Directory of Docker\'s config.json' -r
complete -c coracle -n "__fish_coracle_needs_command" -s c -l context -d 'Only "default": there is no daemon to choose' -r
complete -c coracle -n "__fish_coracle_needs_command" -s H -l host -d 'Refused: there is no daemon to connect to' -r
complete -c coracle -n "__fish_coracle_needs_command" -s l -l log-level -d '"debug" is --debug; other levels change nothing' -r
complete -c coracle -n "__fish_coracle_needs_command" -s D -l debug -d 'Say on standard error what is being done'
complete -c coracle -n "__fish_coracle_needs_command" -s v -l version -d 'Print version information and quit'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "attach" -d 'Attach local standard input, output, and error streams to a running container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "build" -d 'Start a build'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "commit" -d 'Create a new image from a container\'s changes'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "compose" -d 'Define and run multi-container applications'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "cp" -d 'Copy files/folders between a container and the local filesystem'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "context" -d 'Manage contexts'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "create" -d 'Create a new container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "diff" -d 'Inspect changes to files or directories on a container\'s filesystem'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "events" -d 'Get real time events from the server'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "exec" -d 'Execute a command in a running container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "export" -d 'Export a container\'s filesystem as a tar archive'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "history" -d 'Show the history of an image'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "images" -d 'List images'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "import" -d 'Import the contents from a tarball to create a filesystem image'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "info" -d 'Display system-wide information'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "inspect" -d 'Return low-level information on Docker objects'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "kill" -d 'Kill one or more running containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "load" -d 'Load an image from a tar archive or STDIN'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "login" -d 'Authenticate to a registry'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "logout" -d 'Log out from a registry'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "logs" -d 'Fetch the logs of a container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "builder" -d 'Manage builds'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "buildx" -d 'Work on images of several platforms'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "network" -d 'Manage networks'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "pause" -d 'Pause all processes within one or more containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "unpause" -d 'Unpause all processes within one or more containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "port" -d 'List port mappings or a specific mapping for the container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "manifest" -d 'Manage Docker image manifests and manifest lists'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "ps" -d 'List containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "pull" -d 'Download an image from a registry'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "push" -d 'Upload an image to a registry'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "rename" -d 'Rename a container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "restart" -d 'Restart one or more containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "rm" -d 'Remove one or more containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "rmi" -d 'Remove one or more images'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "run" -d 'Create and run a new container from an image'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "search" -d 'Search Docker Hub for images'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "save" -d 'Save one or more images to a tar archive (streamed to STDOUT by default)'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "start" -d 'Start one or more stopped containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "stats" -d 'Display a live stream of container(s) resource usage statistics'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "stop" -d 'Stop one or more running containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "system" -d 'Show what there is and what can be had'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "image" -d 'Manage images'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "tag" -d 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "top" -d 'Display the running processes of a container'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "update" -d 'Update configuration of one or more containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "version" -d 'Show the version information'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "volume" -d 'Manage volumes'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "container" -d 'Manage containers'
complete -c coracle -n "__fish_coracle_needs_command" -f -a "wait" -d 'Block until one or more containers stop, then print their exit codes'
complete -c coracle -n "__fish_coracle_using_subcommand attach" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand attach" -l sig-proxy -d 'Pass signals on to the container' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand attach" -l no-stdin -d 'Do not attach STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l add-host -d 'Add a custom host-to-IP mapping (format: "host:ip")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l annotation -d 'Add annotation to the image (format: "[manifest|index:]key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l attest -d 'Attestation parameters (format: "type=provenance")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l allow -d 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l build-arg -d 'Set build-time variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l build-context -d 'Additional build contexts (e.g., name=path)' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cache-from -d 'External cache sources (e.g., "type=local,src=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cache-to -d 'Cache export destinations (e.g., "type=local,dest=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l call -d 'Set method for evaluating build ("check", "targets")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -s f -l file -d 'Name of the Dockerfile (default: "PATH/Dockerfile")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l iidfile -d 'Write the image ID to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l label -d 'Set metadata for an image' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l network -d 'Set the networking mode for the "RUN" instructions during build' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l no-cache-filter -d 'Do not cache specified stages' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -s o -l output -d 'Output destination (format: "type=local,dest=path")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l platform -d 'Set target platform for build' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l secret -d 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l shm-size -d 'Shared memory size for build containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l ssh -d 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -s t -l tag -d 'Image identifier (format: "[registry/]repository[:tag]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l target -d 'Set the target build stage to build' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l ulimit -d 'Ulimit options' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l provenance -d 'Shorthand for "--attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cgroup-parent -d 'Nothing: commands of a build are in the group of the build' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l rm -d 'Nothing: what a step runs in never outlives it' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand build" -l isolation -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -s m -l memory -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l memory-swap -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cpu-period -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cpu-quota -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -s c -l cpu-shares -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cpuset-cpus -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l cpuset-mems -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l security-opt -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand build" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l load -d 'Shorthand for "--output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l push -d 'Shorthand for "--output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand build" -s q -l quiet -d 'Suppress the build output and print image ID on success'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l squash -d 'Squash newly built layers into a single new layer'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l compress -d 'Nothing: layers are stored unpacked'
complete -c coracle -n "__fish_coracle_using_subcommand build" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand commit" -s a -l author -d 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' -r
complete -c coracle -n "__fish_coracle_using_subcommand commit" -s c -l change -d 'Apply Dockerfile instruction to the created image' -r
complete -c coracle -n "__fish_coracle_using_subcommand commit" -s m -l message -d 'Commit message' -r
complete -c coracle -n "__fish_coracle_using_subcommand commit" -s p -l pause -d 'Pause container during commit' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l ansi -d 'When to colour ("never", "always", "auto")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l env-file -d 'Read variables from this file in place of .env' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -s f -l file -d 'Compose configuration files' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l parallel -d 'How much is done at once, -1 for no limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l profile -d 'Specify a profile to enable' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l progress -d 'How progress is shown (auto, tty, plain, json, quiet)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l project-directory -d 'What relative paths are relative to (default: the directory of the first file)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -s p -l project-name -d 'Project name' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l workdir -d 'The old name of --project-directory' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l compatibility -d 'Name containers and images with underscores, as the first Compose did'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -l verbose -d 'Show more output'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -s v -l version -d 'Show the Compose version'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "build" -d 'Build or rebuild services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "config" -d 'Parse, resolve and render compose file in canonical format'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "convert" -d 'Parse, resolve and render compose file in canonical format'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "kill" -d 'Force stop service containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "pause" -d 'Pause services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "restart" -d 'Restart service containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "rm" -d 'Removes stopped service containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "down" -d 'Stop and remove containers, networks'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "start" -d 'Start services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "stop" -d 'Stop services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "unpause" -d 'Unpause services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "logs" -d 'View output from containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "attach" -d 'Attach local standard input, output, and error streams to a service\'s running container'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "commit" -d 'Create a new image from a service container\'s changes'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "cp" -d 'Copy files/folders between a service container and the local filesystem'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "events" -d 'Receive real time events from containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "exec" -d 'Execute a command in a running container'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "export" -d 'Export a service container\'s filesystem as a tar archive'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "port" -d 'Print the public port for a port binding'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "stats" -d 'Display a live stream of container(s) resource usage statistics'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "top" -d 'Display the running processes'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "volumes" -d 'List volumes'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "wait" -d 'Block until containers of all (or specified) services stop.'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "images" -d 'List images used by the created containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "ls" -d 'List running compose projects'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "ps" -d 'List containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "push" -d 'Push service images'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "pull" -d 'Pull service images'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "run" -d 'Run a one-off command on a service'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "create" -d 'Creates containers for a service'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "scale" -d 'Scale services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "up" -d 'Create and start containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "version" -d 'Show the Docker Compose version information'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and not __fish_seen_subcommand_from build config convert kill pause restart rm down start stop unpause logs attach commit cp events exec export port stats top volumes wait images ls ps push pull run create scale up version watch" -f -a "watch" -d 'Watch build context for service and rebuild/refresh containers when files are updated'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l build-arg -d 'Set build-time variables for services' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l builder -d 'Name of the builder; there is one' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -s m -l memory -d 'Memory of the build\'s steps; without effect, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l progress -d 'How progress is shown (auto, tty, plain, rawjson, quiet)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l provenance -d 'Add an attestation of provenance; without effect' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l sbom -d 'Add an attestation of contents; without effect' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l ssh -d 'Agents that builds may use (default, or name=socket)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l check -d 'Check the Dockerfiles, and build nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l compress -d 'Nothing: contexts are read in place'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l no-cache -d 'Do not use the cache'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l no-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l parallel -d 'Nothing: independent steps of a build run side by side'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l print -d 'Print the equivalent bake file, and build nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l pull -d 'Always look for newer versions of images that are built upon'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l push -d 'Push the services\' images'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Build without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l with-dependencies -d 'Also build what the services depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from build" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l format -d 'Format the output ("yaml" or "json")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l hash -d 'Print the hash of a service\'s configuration, one a line ("*" for all)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -s o -l output -d 'Write to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l environment -d 'Print the environment that variables are taken from'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l images -d 'Print the names of the images, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l lock-image-digests -d 'Print a file that puts digests in place of tags'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l models -d 'Print the names of the models, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l networks -d 'Print the names of the networks, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-consistency -d 'Do not check that what is named is there'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-env-resolution -d 'Do not read the files of variables of services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-interpolate -d 'Do not put in variables'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-normalize -d 'Do not put in defaults'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-path-resolution -d 'Do not make paths absolute'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l profiles -d 'Print the names of the profiles, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -s q -l quiet -d 'Only check the files'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l resolve-image-digests -d 'Put digests in place of tags'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l services -d 'Print the names of the services, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l variables -d 'Print the variables that the files use'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l volumes -d 'Print the names of the volumes, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from config" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l format -d 'Format the output ("yaml" or "json")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l hash -d 'Print the hash of a service\'s configuration, one a line ("*" for all)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -s o -l output -d 'Write to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l environment -d 'Print the environment that variables are taken from'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l images -d 'Print the names of the images, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l lock-image-digests -d 'Print a file that puts digests in place of tags'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l models -d 'Print the names of the models, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l networks -d 'Print the names of the networks, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-consistency -d 'Do not check that what is named is there'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-env-resolution -d 'Do not read the files of variables of services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-interpolate -d 'Do not put in variables'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-normalize -d 'Do not put in defaults'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-path-resolution -d 'Do not make paths absolute'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l profiles -d 'Print the names of the profiles, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -s q -l quiet -d 'Only check the files'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l resolve-image-digests -d 'Put digests in place of tags'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l services -d 'Print the names of the services, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l variables -d 'Print the variables that the files use'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l volumes -d 'Print the names of the volumes, one a line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from convert" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from kill" -s s -l signal -d 'Signal to send' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from kill" -l remove-orphans -d 'Also kill containers of services that the files do not define'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from kill" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pause" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from restart" -s t -l timeout -d 'Seconds that containers have to stop' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from restart" -l no-deps -d 'Do not restart services that depend on those (depends_on with restart)'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from restart" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from rm" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from rm" -s s -l stop -d 'Stop the containers first'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from rm" -s v -l volumes -d 'Remove their unnamed volumes, too'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from rm" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from down" -l rmi -d 'Remove images used by services ("local": those without a name of their own, "all")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from down" -s t -l timeout -d 'Seconds that containers have to stop' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from down" -l remove-orphans -d 'Remove containers of services that the files do not define'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from down" -s v -l volumes -d 'Remove the volumes of the project, and unnamed ones of its containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from down" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from start" -l wait-timeout -d 'Seconds to wait at most' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from start" -l wait -d 'Wait until services run or are healthy'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from start" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stop" -s t -l timeout -d 'Seconds that containers have to stop' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stop" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from unpause" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l index -d 'Which of a service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l since -d 'Show what is not older than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -s n -l tail -d 'Number of lines to show from the end of each container\'s' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l until -d 'Show what is not younger than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on until the containers end'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l no-color -d 'Print in one colour'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l no-log-prefix -d 'Do not print the container\'s name before each line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -s t -l timestamps -d 'Show the time of each line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from logs" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from attach" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from attach" -l sig-proxy -d 'Pass signals on to the container' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from attach" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from attach" -l no-stdin -d 'Do not attach STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from attach" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -s a -l author -d 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -s c -l change -d 'Apply Dockerfile instruction to the created image' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -s m -l message -d 'Commit message' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -s p -l pause -d 'Pause container during commit' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from commit" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from cp" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from cp" -s a -l archive -d 'Keep owners'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from cp" -s L -l follow-link -d 'Follow a link that is the source'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from cp" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from events" -l since -d 'Show what is not older than a time' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from events" -l until -d 'Show what is not younger than a time' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from events" -l json -d 'Print events as JSON objects'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from events" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s u -l user -d 'Run the command as this user' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s w -l workdir -d 'Working directory of the command' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Run in the background'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s i -l interactive -d 'Accepted; standard input is open'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s T -l no-tty -d 'Give the command no terminal'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -l privileged -d 'Give the command everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Accepted; a terminal is given where there is one'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from exec" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from export" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to a file, instead of STDOUT' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from export" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from port" -l index -d 'Which of the service\'s containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from port" -l protocol -d 'tcp or udp' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from port" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stats" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stats" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stats" -l no-stream -d 'Show one result and end'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stats" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from stats" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from top" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from volumes" -l format -d 'Format of the output: table, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from volumes" -s q -l quiet -d 'Only show names'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from volumes" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from wait" -l down-project -d 'Take the project down when the first container stops'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from wait" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from images" -l format -d 'Format of the output ("table" or "json")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from images" -s q -l quiet -d 'Only show IDs'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from images" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ls" -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output ("table" or "json")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show stopped projects, too'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Only show names'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ls" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l filter -d 'Show only what fits (status=running)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l format -d 'Format of the output: table, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l orphans -d 'Also show services that the files do not define' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l status -d 'Show only containers of this status' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -s a -l all -d 'Show all stopped containers, too (including those of run)'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -s q -l quiet -d 'Only show IDs'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l services -d 'Only show names of services'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from ps" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from push" -l ignore-push-failures -d 'Go on after a failure'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from push" -l include-deps -d 'Also push images of services that others depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Push without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from push" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l policy -d 'When to pull ("missing"|"always")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l ignore-buildable -d 'Do not pull images that can be built'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l ignore-pull-failures -d 'Go on after a failure'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l include-deps -d 'Also pull images of services that others depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l no-parallel -d 'Nothing: the flag --parallel of compose limits how much is done at once'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l parallel -d 'Nothing: images are pulled side by side'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Pull without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from pull" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l cap-add -d 'Add Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l cap-drop -d 'Drop Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l entrypoint -d 'Program to run in place of the image\'s ENTRYPOINT' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l env-from-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s i -l interactive -d 'Keep standard input open' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s l -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l name -d 'Name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s p -l publish -d 'Publish a port of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l pull -d 'Pull image before running ("always"|"missing"|"never"|"build")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s u -l user -d 'User name or id' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s v -l volume -d 'Mount a directory or a volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l build -d 'Build the image before starting the container'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s d -l detach -d 'Run in the background and print the container\'s name'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s T -l no-tty -d 'Give the command no terminal'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l no-deps -d 'Do not start services that it depends on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Do not show what happens to other containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l quiet-build -d 'Build without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l quiet-pull -d 'Pull without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l remove-orphans -d 'Remove containers of services that the files do not define'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l rm -d 'Remove the container when it ends'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -s P -l service-ports -d 'Publish the service\'s ports'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l use-aliases -d 'Answer to the service\'s names on its networks'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from run" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l pull -d 'Pull image before running ("always"|"missing"|"never"|"build")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l scale -d 'Number of containers of a service (SERVICE=NUM)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l build -d 'Build images before starting containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l force-recreate -d 'Make containers anew even if nothing has changed'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l no-build -d 'Do not build an image, even if it is missing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l no-recreate -d 'Leave containers that exist as they are'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l quiet-build -d 'Build without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l quiet-pull -d 'Pull without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l remove-orphans -d 'Remove containers of services that the files do not define'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -s y -l yes -d 'Answer yes to every question; there are none'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from create" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from scale" -l no-deps -d 'Do not start services that others depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from scale" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l pull -d 'Pull image before running ("always"|"missing"|"never"|"build")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l scale -d 'Number of containers of a service (SERVICE=NUM)' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l attach -d 'Only show the output of these services' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l exit-code-from -d 'Return the exit code of this service\'s container; implies --abort-on-container-exit' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l menu -d 'Refused: there is no menu' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-attach -d 'Do not show the output of these services' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -s t -l timeout -d 'Seconds that containers have to stop' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l wait-timeout -d 'Seconds to wait at most' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l build -d 'Build images before starting containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l force-recreate -d 'Make containers anew even if nothing has changed'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-build -d 'Do not build an image, even if it is missing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-recreate -d 'Leave containers that exist as they are'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l quiet-build -d 'Build without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l quiet-pull -d 'Pull without printing progress'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l remove-orphans -d 'Remove containers of services that the files do not define'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -s y -l yes -d 'Answer yes to every question; there are none'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l abort-on-container-exit -d 'Stop all containers if one of them ends; not with --detach'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l abort-on-container-failure -d 'Stop all containers if one of them fails; not with --detach'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l always-recreate-deps -d 'Also make those anew that others depend on; not with --no-recreate'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l attach-dependencies -d 'Also show the output of services that others depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -s d -l detach -d 'Run in the background'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-color -d 'Print in one colour'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-deps -d 'Do not start services that others depend on'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-log-prefix -d 'Do not print the container\'s name before each line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-start -d 'Create, and do not start'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -s V -l renew-anon-volumes -d 'Make unnamed volumes anew instead of keeping those of earlier containers'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l timestamps -d 'Show the time of each line'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l wait -d 'Wait until services run or are healthy; implies --detach'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -s w -l watch -d 'Watch sources, and rebuild or refresh containers when they change'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from up" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from version" -s f -l format -d 'Format the output ("pretty" or "json")' -r
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from version" -l short -d 'Show only the version number'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from version" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from watch" -l prune -d 'Prune dangling images on rebuild' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from watch" -l no-up -d 'Do not build and start services before watching'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from watch" -l quiet -d 'Hide build output'
complete -c coracle -n "__fish_coracle_using_subcommand compose; and __fish_seen_subcommand_from watch" -l dry-run -d 'Say what would be done, and do nothing'
complete -c coracle -n "__fish_coracle_using_subcommand cp" -s q -l quiet -d 'Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand cp" -s a -l archive -d 'Archive mode (copy all uid/gid information)'
complete -c coracle -n "__fish_coracle_using_subcommand cp" -s L -l follow-link -d 'Always follow symbol link in SRC_PATH'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "create" -d 'Create a context, which there can be no second one of'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "export" -d 'Export a context to a tar archive FILE or a tar stream on STDOUT.'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "import" -d 'Import a context, which there can be no second one of'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "inspect" -d 'Display detailed information on one or more contexts'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "ls" -d 'List contexts'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "list" -d 'List contexts'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "rm" -d 'Remove one or more contexts'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "remove" -d 'Remove one or more contexts'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "show" -d 'Print the name of the current context'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "update" -d 'Update a context, which there is none to be changed of'
complete -c coracle -n "__fish_coracle_using_subcommand context; and not __fish_seen_subcommand_from create export import inspect ls list rm remove show update use" -f -a "use" -d 'Set the current context'
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from create" -l description -d 'Description of the context' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from create" -l docker -d 'Endpoint' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from create" -l from -d 'Context to copy' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show names only'
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from list" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show names only'
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from rm" -s f -l force -d 'Say nothing of those that do not exist'
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from remove" -s f -l force -d 'Say nothing of those that do not exist'
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from update" -l description -d 'Description of the context' -r
complete -c coracle -n "__fish_coracle_using_subcommand context; and __fish_seen_subcommand_from update" -l docker -d 'Endpoint' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l add-host -d 'Add a line to the container\'s /etc/hosts (host:ip)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l annotation -d 'Add an annotation for the runtime' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s a -l attach -d 'Attach to STDIN, STDOUT or STDERR' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cap-add -d 'Add Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cap-drop -d 'Drop Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cidfile -d 'Write the container\'s ID to this file' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l device -d 'Show a device of the host in the container: its path, or its name in a CDI file' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l domainname -d 'NIS domain name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l entrypoint -d 'Program to run in place of the image\'s ENTRYPOINT' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l gpus -d 'GPUs to show in the container (\'all\' to have all of them)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l group-add -d 'Add supplementary groups' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-cmd -d 'Command that finds out whether the container is healthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-interval -d 'Time between two checks (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-retries -d 'Failures in a row that make it unhealthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-start-interval -d 'Time between two checks in the start period (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-start-period -d 'Time after the start in which failures do not count (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l health-timeout -d 'Time after which a check has failed (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s h -l hostname -d 'Host name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s l -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l label-file -d 'Read labels from a file, one a line' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l log-driver -d 'How output is logged: json-file, local, journald or none' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l log-opt -d 'Options of the log: max-size, max-file, tag, labels, env' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l mount -d 'Mount a directory, a volume or memory' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l name -d 'Name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cgroup-parent -d 'Control group or slice that the container\'s own one is to be in' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l memory-swappiness -d 'Accepted; the kernel has no such setting any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l dns -d 'Set nameservers' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l dns-option -d 'Set options of the resolver' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l dns-search -d 'Set domains in which short names are looked up' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l expose -d 'Declare a port or a range of ports' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l ip -d 'IPv4 address (e.g., 172.30.100.104)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l ip6 -d 'IPv6 address (e.g., 2001:db8::33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l link -d 'Add a link to another container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l link-local-ip -d 'Refused: the kernel gives link-local addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l mac-address -d 'Hardware address (e.g., 92:d0:c6:0a:29:33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l network -d 'Connect to a network: a name, bridge, host, none or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l network-alias -d 'Add a name that the container answers to on its network' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s p -l publish -d 'Publish a port of the container on the host' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cgroupns -d 'Cgroup namespace: host or private' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-count -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l cpu-percent -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l io-maxbandwidth -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l io-maxiops -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l ipc -d 'IPC namespace: private, shareable, none, host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l isolation -d 'How the container is kept apart; there is one way, "default"' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l oom-score-adj -d 'How likely the container is to be killed when memory is short (up to 1000)' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l pid -d 'PID namespace: host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l runtime -d 'Runtime; there is one, coracle\'s own' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l storage-opt -d 'Refused: limits of the container\'s file system, which only root can set' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l userns -d 'User namespace: host, in which the container\'s root is you; or keep-id[:uid=N,gid=N], in which you have your own ids, or these' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l uts -d 'UTS namespace: host' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l volume-driver -d 'Driver of the volumes; there is one, "local"' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l volumes-from -d 'Mount what another container mounts (NAME[:ro])' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l pull -d 'When to pull the image ("always", "missing", "never")' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l restart -d 'What to do when the container ends' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l security-opt -d 'Security options' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l shm-size -d 'Size of /dev/shm' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l stop-signal -d 'Signal that stops the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l stop-timeout -d 'Seconds to wait after the stop signal before killing' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l sysctl -d 'Set kernel parameters of the container\'s namespaces' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l tmpfs -d 'Mount memory at a directory' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l ulimit -d 'Set resource limits (name=soft[:hard])' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s v -l volume -d 'Mount a directory or a volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand create" -l disable-content-trust -d 'Accepted; signatures of images are not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l init -d 'Run an init as process 1 that passes on signals and reaps children'
complete -c coracle -n "__fish_coracle_using_subcommand create" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l oom-kill-disable -d 'Accepted; the kernel has no such setting any more'
complete -c coracle -n "__fish_coracle_using_subcommand create" -s P -l publish-all -d 'Publish all declared ports on random ports of the host'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l no-healthcheck -d 'Run no health check'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l privileged -d 'Give the container everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand create" -s q -l quiet -d 'Suppress the pull output'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l read-only -d 'Mount the container\'s root file system read-only'
complete -c coracle -n "__fish_coracle_using_subcommand create" -l rm -d 'Remove the container and its unnamed volumes when it ends'
complete -c coracle -n "__fish_coracle_using_subcommand create" -s t -l tty -d 'Give the container a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand events" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand events" -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand events" -l since -d 'Show also what has happened since a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand events" -l until -d 'End at a time (2013-01-02T13:23:37Z) or a duration before now (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s d -l detach -d 'Run in the background'
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand exec" -l privileged -d 'Give the command everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand exec" -s t -l tty -d 'Give the command a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand export" -s o -l output -d 'Write to a file, instead of STDOUT' -r
complete -c coracle -n "__fish_coracle_using_subcommand history" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand history" -s H -l human -d 'Print sizes and times so that people can read them' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand history" -l platform -d 'Show the history of the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand history" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand history" -s q -l quiet -d 'Only show image IDs'
complete -c coracle -n "__fish_coracle_using_subcommand images" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand images" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand images" -s a -l all -d 'Show all images, also those without a name'
complete -c coracle -n "__fish_coracle_using_subcommand images" -l digests -d 'Show digests'
complete -c coracle -n "__fish_coracle_using_subcommand images" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand images" -s q -l quiet -d 'Only show image IDs'
complete -c coracle -n "__fish_coracle_using_subcommand images" -l tree -d 'List images as a tree, with their platforms'
complete -c coracle -n "__fish_coracle_using_subcommand import" -s c -l change -d 'Apply a Dockerfile instruction to the image' -r
complete -c coracle -n "__fish_coracle_using_subcommand import" -s m -l message -d 'Remark for the image\'s history' -r
complete -c coracle -n "__fish_coracle_using_subcommand import" -l platform -d 'Platform of the image' -r
complete -c coracle -n "__fish_coracle_using_subcommand info" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand inspect" -l type -d 'Only inspect objects of this type: container, image, network or volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand inspect" -s s -l size -d 'Count how much disk a container takes'
complete -c coracle -n "__fish_coracle_using_subcommand kill" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand load" -s i -l input -d 'Read from this archive or OCI layout directory, instead of STDIN' -r
complete -c coracle -n "__fish_coracle_using_subcommand load" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand load" -s q -l quiet -d 'Suppress the progress'
complete -c coracle -n "__fish_coracle_using_subcommand login" -s p -l password -d 'Password or access token' -r
complete -c coracle -n "__fish_coracle_using_subcommand login" -s u -l username -d 'Username' -r
complete -c coracle -n "__fish_coracle_using_subcommand login" -l password-stdin -d 'Take the password or access token from stdin'
complete -c coracle -n "__fish_coracle_using_subcommand logs" -l since -d 'Show what is not older than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand logs" -s n -l tail -d 'Number of lines to show from the end' -r
complete -c coracle -n "__fish_coracle_using_subcommand logs" -l until -d 'Show what is not younger than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand logs" -l details -d 'Show what else is known of each line'
complete -c coracle -n "__fish_coracle_using_subcommand logs" -s f -l follow -d 'Go on until the container ends'
complete -c coracle -n "__fish_coracle_using_subcommand logs" -s t -l timestamps -d 'Show the time of each line'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and not __fish_seen_subcommand_from build prune" -f -a "build" -d 'Start a build'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and not __fish_seen_subcommand_from build prune" -f -a "prune" -d 'Remove build cache'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l add-host -d 'Add a custom host-to-IP mapping (format: "host:ip")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l annotation -d 'Add annotation to the image (format: "[manifest|index:]key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l attest -d 'Attestation parameters (format: "type=provenance")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l allow -d 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l build-arg -d 'Set build-time variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l build-context -d 'Additional build contexts (e.g., name=path)' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cache-from -d 'External cache sources (e.g., "type=local,src=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cache-to -d 'Cache export destinations (e.g., "type=local,dest=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l call -d 'Set method for evaluating build ("check", "targets")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s f -l file -d 'Name of the Dockerfile (default: "PATH/Dockerfile")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image ID to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l label -d 'Set metadata for an image' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l network -d 'Set the networking mode for the "RUN" instructions during build' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do not cache specified stages' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s o -l output -d 'Output destination (format: "type=local,dest=path")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l platform -d 'Set target platform for build' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l secret -d 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l shm-size -d 'Shared memory size for build containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l ssh -d 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s t -l tag -d 'Image identifier (format: "[registry/]repository[:tag]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l target -d 'Set the target build stage to build' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l ulimit -d 'Ulimit options' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l provenance -d 'Shorthand for "--attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Nothing: commands of a build are in the group of the build' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l rm -d 'Nothing: what a step runs in never outlives it' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l isolation -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s m -l memory -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l memory-swap -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cpu-period -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cpu-quota -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s c -l cpu-shares -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cpuset-cpus -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l cpuset-mems -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l security-opt -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l load -d 'Shorthand for "--output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l push -d 'Shorthand for "--output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Suppress the build output and print image ID on success'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l squash -d 'Squash newly built layers into a single new layer'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l compress -d 'Nothing: layers are stored unpacked'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from build" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -l builder -d 'The builder; there is one' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): until' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -l keep-storage -l max-used-space -l reserved-space -d 'Amount of disk space to keep for the cache' -r
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused build cache, not just what no image has'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand builder; and __fish_seen_subcommand_from prune" -l verbose -d 'Accepted; every removed entry is listed'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "bake" -d 'Build from a file'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "build" -d 'Start a build'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "b" -d 'Start a build'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "create" -d 'Create a new builder instance'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "inspect" -d 'Inspect current builder instance'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "ls" -d 'List builder instances'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "rm" -d 'Remove one or more builder instances'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "stop" -d 'Stop builder instance'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "use" -d 'Set the current builder instance'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "version" -d 'Show buildx version information'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "imagetools" -d 'Commands to work on images in registry'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "prune" -d 'Remove build cache'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and not __fish_seen_subcommand_from bake build b create inspect ls rm stop use version imagetools prune du" -f -a "du" -d 'Disk usage'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l allow -d 'Allow build to access specified resources' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -s f -l file -d 'Build definition file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l provenance -d 'Shorthand for "--set=*.attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l set -d 'Override target value (e.g., "targetpattern.key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l load -d 'Shorthand for "--set=*.output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l print -d 'Print the options without building'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l push -d 'Shorthand for "--set=*.output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l add-host -d 'Add a custom host-to-IP mapping (format: "host:ip")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l annotation -d 'Add annotation to the image (format: "[manifest|index:]key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l attest -d 'Attestation parameters (format: "type=provenance")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l allow -d 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l build-arg -d 'Set build-time variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l build-context -d 'Additional build contexts (e.g., name=path)' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cache-from -d 'External cache sources (e.g., "type=local,src=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cache-to -d 'Cache export destinations (e.g., "type=local,dest=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l call -d 'Set method for evaluating build ("check", "targets")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s f -l file -d 'Name of the Dockerfile (default: "PATH/Dockerfile")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image ID to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l label -d 'Set metadata for an image' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l network -d 'Set the networking mode for the "RUN" instructions during build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do not cache specified stages' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s o -l output -d 'Output destination (format: "type=local,dest=path")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l platform -d 'Set target platform for build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l secret -d 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l shm-size -d 'Shared memory size for build containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l ssh -d 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s t -l tag -d 'Image identifier (format: "[registry/]repository[:tag]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l target -d 'Set the target build stage to build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l ulimit -d 'Ulimit options' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l provenance -d 'Shorthand for "--attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Nothing: commands of a build are in the group of the build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l rm -d 'Nothing: what a step runs in never outlives it' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l isolation -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s m -l memory -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l memory-swap -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cpu-period -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cpu-quota -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s c -l cpu-shares -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cpuset-cpus -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cpuset-mems -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l security-opt -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l load -d 'Shorthand for "--output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l push -d 'Shorthand for "--output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Suppress the build output and print image ID on success'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l squash -d 'Squash newly built layers into a single new layer'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l compress -d 'Nothing: layers are stored unpacked'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from build" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l add-host -d 'Add a custom host-to-IP mapping (format: "host:ip")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l annotation -d 'Add annotation to the image (format: "[manifest|index:]key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l attest -d 'Attestation parameters (format: "type=provenance")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l allow -d 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l build-arg -d 'Set build-time variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l build-context -d 'Additional build contexts (e.g., name=path)' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cache-from -d 'External cache sources (e.g., "type=local,src=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cache-to -d 'Cache export destinations (e.g., "type=local,dest=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l call -d 'Set method for evaluating build ("check", "targets")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s f -l file -d 'Name of the Dockerfile (default: "PATH/Dockerfile")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l iidfile -d 'Write the image ID to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l label -d 'Set metadata for an image' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l network -d 'Set the networking mode for the "RUN" instructions during build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l no-cache-filter -d 'Do not cache specified stages' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s o -l output -d 'Output destination (format: "type=local,dest=path")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l platform -d 'Set target platform for build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l secret -d 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l shm-size -d 'Shared memory size for build containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l ssh -d 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s t -l tag -d 'Image identifier (format: "[registry/]repository[:tag]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l target -d 'Set the target build stage to build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l ulimit -d 'Ulimit options' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l provenance -d 'Shorthand for "--attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cgroup-parent -d 'Nothing: commands of a build are in the group of the build' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l rm -d 'Nothing: what a step runs in never outlives it' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l isolation -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s m -l memory -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l memory-swap -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cpu-period -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cpu-quota -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s c -l cpu-shares -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cpuset-cpus -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cpuset-mems -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l security-opt -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l load -d 'Shorthand for "--output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l push -d 'Shorthand for "--output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -s q -l quiet -d 'Suppress the build output and print image ID on success'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l squash -d 'Squash newly built layers into a single new layer'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l compress -d 'Nothing: layers are stored unpacked'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from b" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l buildkitd-config -d 'Nothing: there is no daemon' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l buildkitd-flags -d 'Nothing: there is no daemon' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l driver -d 'Driver: any is this program' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l driver-opt -d 'Nothing: drivers have no options' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l name -d 'Builder instance name' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l node -d 'Nothing: there is one node' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l platform -d 'Nothing: platforms are those of this machine' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l append -d 'Nothing: there is one node'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l bootstrap -d 'Nothing: there is no daemon to start'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l leave -d 'Nothing: there is one node'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from create" -l use -d 'Set the current builder instance'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from inspect" -l builder -d 'Builder instance name' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from inspect" -l bootstrap -d 'Nothing: there is no daemon to start'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from rm" -l all-inactive -d 'Remove all builders'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from rm" -s f -l force -d 'Do not prompt for confirmation'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from rm" -l keep-daemon -d 'Nothing: there is no daemon'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from rm" -l keep-state -d 'Nothing: names hold no state'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from use" -l default -d 'Set builder as default for current context'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from use" -l global -d 'Builder persists context changes'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -f -a "create" -d 'Create a new image based on source images'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -f -a "inspect" -d 'Show details of an image in the registry'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l builder -d 'The builder; there is one' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): until' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l keep-storage -l max-used-space -l reserved-space -d 'Amount of disk space to keep for the cache' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused build cache, not just what no image has'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l verbose -d 'Accepted; every removed entry is listed'
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from du" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand buildx; and __fish_seen_subcommand_from du" -l verbose -d 'Provide a more verbose output'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "inspect" -d 'Display detailed information on one or more networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "connect" -d 'Connect a container to a network'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "disconnect" -d 'Disconnect a container from a network'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "create" -d 'Create a network'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "ls" -d 'List networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "list" -d 'List networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "prune" -d 'Remove all unused networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "rm" -d 'Remove one or more networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and not __fish_seen_subcommand_from inspect connect disconnect create ls list prune rm remove" -f -a "remove" -d 'Remove one or more networks'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from inspect" -s v -l verbose -d 'Accepted; there is no more to tell'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l alias -d 'Add a name that the container answers to on the network' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l driver-opt -d 'Options of the driver, for inspect' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l gw-priority -d 'Of several networks, the one with the highest priority has the default route' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l ip -d 'IPv4 address (e.g., "172.30.100.104")' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l ip6 -d 'IPv6 address (e.g., "2001:db8::33")' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l link -d 'Add a link to another container' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from connect" -l link-local-ip -d 'Refused: the kernel gives link-local addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from disconnect" -s f -l force -d 'Leave a network that is not there any more'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l aux-address -d 'Keep addresses from being given (name=address)' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l config-from -d 'Refused: take the settings of another network' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -s d -l driver -d 'Driver of the network; there is bridge' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l gateway -d 'Gateway of a subnet' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ip-range -d 'Give addresses from a part of the subnet only' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ipam-driver -d 'Driver of the addresses; there is default' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ipam-opt -d 'Refused: options of the driver of the addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ipv4 -d 'Have IPv4 addresses' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -s o -l opt -d 'Set options of the driver' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l scope -d 'Scope of the network; there is local' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l subnet -d 'Addresses of the network as a block (e.g., 172.28.0.0/16)' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l attachable -d 'Let containers be attached by hand, as every network here does'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l config-only -d 'Refused: make settings without a network'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ingress -d 'Refused: the routing mesh of a swarm'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l internal -d 'Let nothing in or out'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from create" -l ipv6 -d 'Have IPv6 addresses'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits (e.g. "driver=bridge")' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Only show network IDs'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits (e.g. "driver=bridge")' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from list" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from list" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only show network IDs'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (e.g. "until=<timestamp>")' -r
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask first'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from rm" -s f -l force -d 'Do not complain of a network that is not there'
complete -c coracle -n "__fish_coracle_using_subcommand network; and __fish_seen_subcommand_from remove" -s f -l force -d 'Do not complain of a network that is not there'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and not __fish_seen_subcommand_from annotate create inspect push rm" -f -a "annotate" -d 'Add additional information to a local image manifest'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and not __fish_seen_subcommand_from annotate create inspect push rm" -f -a "create" -d 'Create a local manifest list for annotating and pushing to a registry'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and not __fish_seen_subcommand_from annotate create inspect push rm" -f -a "inspect" -d 'Display an image manifest, or manifest list'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and not __fish_seen_subcommand_from annotate create inspect push rm" -f -a "push" -d 'Push a manifest list to a repository'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and not __fish_seen_subcommand_from annotate create inspect push rm" -f -a "rm" -d 'Delete one or more manifest lists from local storage'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l arch -d 'Set architecture' -r
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os -d 'Set operating system' -r
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-features -d 'Set operating system feature' -r
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-version -d 'Set operating system version' -r
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l variant -d 'Set architecture variant' -r
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from create" -s a -l amend -d 'Amend an existing manifest list'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from create" -l insecure -d 'Allow communication with an insecure registry'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l insecure -d 'Allow communication with an insecure registry'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -s v -l verbose -d 'Output additional info including layers and platform'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from push" -l insecure -d 'Allow push to an insecure registry'
complete -c coracle -n "__fish_coracle_using_subcommand manifest; and __fish_seen_subcommand_from push" -s p -l purge -d 'Remove the local manifest list after push'
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand ps" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s n -l last -d 'Show the n last created containers, whatever their state' -r
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s l -l latest -d 'Show the last created container, whatever its state'
complete -c coracle -n "__fish_coracle_using_subcommand ps" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s q -l quiet -d 'Only show container IDs'
complete -c coracle -n "__fish_coracle_using_subcommand ps" -s s -l size -d 'Show how much disk they take'
complete -c coracle -n "__fish_coracle_using_subcommand pull" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand pull" -l disable-content-trust -d 'Accepted; images are not signed, and signatures not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand pull" -s q -l quiet -d 'Suppress everything but the image\'s name'
complete -c coracle -n "__fish_coracle_using_subcommand pull" -s a -l all-tags -d 'Download every tag of the repository'
complete -c coracle -n "__fish_coracle_using_subcommand push" -l platform -d 'Push the image for this platform alone, where there are several' -r
complete -c coracle -n "__fish_coracle_using_subcommand push" -l disable-content-trust -d 'Accepted; images are not signed, and signatures not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand push" -s q -l quiet -d 'Suppress everything but the image\'s name'
complete -c coracle -n "__fish_coracle_using_subcommand push" -s a -l all-tags -d 'Push all tags of an image to the repository'
complete -c coracle -n "__fish_coracle_using_subcommand restart" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand restart" -s t -l timeout -d 'Seconds to wait before killing the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand rm" -s f -l force -d 'Kill a running container first'
complete -c coracle -n "__fish_coracle_using_subcommand rm" -s l -l link -d 'Remove a link of a container to another one (CONTAINER/ALIAS), and not the container'
complete -c coracle -n "__fish_coracle_using_subcommand rm" -s v -l volumes -d 'Remove the unnamed volumes of the container, too'
complete -c coracle -n "__fish_coracle_using_subcommand rmi" -l platform -d 'Remove the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand rmi" -s f -l force -d 'Remove what stopped containers use, and what has several names'
complete -c coracle -n "__fish_coracle_using_subcommand rmi" -l no-prune -d 'Do not delete untagged parents, which images here never have'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l add-host -d 'Add a line to the container\'s /etc/hosts (host:ip)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l annotation -d 'Add an annotation for the runtime' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s a -l attach -d 'Attach to STDIN, STDOUT or STDERR' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cap-add -d 'Add Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cap-drop -d 'Drop Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cidfile -d 'Write the container\'s ID to this file' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l device -d 'Show a device of the host in the container: its path, or its name in a CDI file' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l domainname -d 'NIS domain name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l entrypoint -d 'Program to run in place of the image\'s ENTRYPOINT' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l gpus -d 'GPUs to show in the container (\'all\' to have all of them)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l group-add -d 'Add supplementary groups' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-cmd -d 'Command that finds out whether the container is healthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-interval -d 'Time between two checks (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-retries -d 'Failures in a row that make it unhealthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-start-interval -d 'Time between two checks in the start period (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-start-period -d 'Time after the start in which failures do not count (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l health-timeout -d 'Time after which a check has failed (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s h -l hostname -d 'Host name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s l -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l label-file -d 'Read labels from a file, one a line' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l log-driver -d 'How output is logged: json-file, local, journald or none' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l log-opt -d 'Options of the log: max-size, max-file, tag, labels, env' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l mount -d 'Mount a directory, a volume or memory' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l name -d 'Name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cgroup-parent -d 'Control group or slice that the container\'s own one is to be in' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l memory-swappiness -d 'Accepted; the kernel has no such setting any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l dns -d 'Set nameservers' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l dns-option -d 'Set options of the resolver' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l dns-search -d 'Set domains in which short names are looked up' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l expose -d 'Declare a port or a range of ports' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l ip -d 'IPv4 address (e.g., 172.30.100.104)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l ip6 -d 'IPv6 address (e.g., 2001:db8::33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l link -d 'Add a link to another container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l link-local-ip -d 'Refused: the kernel gives link-local addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l mac-address -d 'Hardware address (e.g., 92:d0:c6:0a:29:33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l network -d 'Connect to a network: a name, bridge, host, none or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l network-alias -d 'Add a name that the container answers to on its network' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s p -l publish -d 'Publish a port of the container on the host' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cgroupns -d 'Cgroup namespace: host or private' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-count -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l cpu-percent -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l io-maxbandwidth -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l io-maxiops -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l ipc -d 'IPC namespace: private, shareable, none, host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l isolation -d 'How the container is kept apart; there is one way, "default"' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l oom-score-adj -d 'How likely the container is to be killed when memory is short (up to 1000)' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l pid -d 'PID namespace: host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l runtime -d 'Runtime; there is one, coracle\'s own' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l storage-opt -d 'Refused: limits of the container\'s file system, which only root can set' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l userns -d 'User namespace: host, in which the container\'s root is you; or keep-id[:uid=N,gid=N], in which you have your own ids, or these' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l uts -d 'UTS namespace: host' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l volume-driver -d 'Driver of the volumes; there is one, "local"' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l volumes-from -d 'Mount what another container mounts (NAME[:ro])' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l pull -d 'When to pull the image ("always", "missing", "never")' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l restart -d 'What to do when the container ends' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l security-opt -d 'Security options' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l shm-size -d 'Size of /dev/shm' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l stop-signal -d 'Signal that stops the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l stop-timeout -d 'Seconds to wait after the stop signal before killing' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l sysctl -d 'Set kernel parameters of the container\'s namespaces' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l tmpfs -d 'Mount memory at a directory' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l ulimit -d 'Set resource limits (name=soft[:hard])' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s v -l volume -d 'Mount a directory or a volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand run" -l sig-proxy -d 'Pass signals on to the container' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand run" -l disable-content-trust -d 'Accepted; signatures of images are not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l init -d 'Run an init as process 1 that passes on signals and reaps children'
complete -c coracle -n "__fish_coracle_using_subcommand run" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l oom-kill-disable -d 'Accepted; the kernel has no such setting any more'
complete -c coracle -n "__fish_coracle_using_subcommand run" -s P -l publish-all -d 'Publish all declared ports on random ports of the host'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l no-healthcheck -d 'Run no health check'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l privileged -d 'Give the container everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand run" -s q -l quiet -d 'Suppress the pull output'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l read-only -d 'Mount the container\'s root file system read-only'
complete -c coracle -n "__fish_coracle_using_subcommand run" -l rm -d 'Remove the container and its unnamed volumes when it ends'
complete -c coracle -n "__fish_coracle_using_subcommand run" -s t -l tty -d 'Give the container a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand run" -s d -l detach -d 'Run in the background and print the container\'s ID'
complete -c coracle -n "__fish_coracle_using_subcommand search" -s f -l filter -d 'Filter output by is-official=BOOL or stars=NUMBER' -r
complete -c coracle -n "__fish_coracle_using_subcommand search" -l format -d 'Format output by a template, or as table or json' -r
complete -c coracle -n "__fish_coracle_using_subcommand search" -l limit -d 'Max number of search results, up to 100' -r
complete -c coracle -n "__fish_coracle_using_subcommand search" -l no-trunc -d 'Do not cut descriptions short'
complete -c coracle -n "__fish_coracle_using_subcommand save" -l format -d 'docker-archive, oci-archive, oci-dir or docker-dir' -r
complete -c coracle -n "__fish_coracle_using_subcommand save" -s o -l output -d 'Write to a file (or, for a format of directories, a directory), instead of STDOUT' -r
complete -c coracle -n "__fish_coracle_using_subcommand save" -l platform -d 'Save only the given platforms: a comma-separated list of os[/arch[/variant]]' -r
complete -c coracle -n "__fish_coracle_using_subcommand start" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand start" -s a -l attach -d 'Attach STDOUT and STDERR, and pass signals on'
complete -c coracle -n "__fish_coracle_using_subcommand start" -s i -l interactive -d 'Attach STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand stats" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand stats" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand stats" -l no-stream -d 'Show the first result and end'
complete -c coracle -n "__fish_coracle_using_subcommand stats" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand stop" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand stop" -s t -l timeout -d 'Seconds to wait before killing the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "check" -d 'Check that everything in the store is there and is what it is called'
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "df" -d 'Show disk usage'
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "events" -d 'Get real time events from the server'
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "info" -d 'Display system-wide information'
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "restore" -d 'Start the containers that their restart policy wants to run, as after a reboot'
complete -c coracle -n "__fish_coracle_using_subcommand system; and not __fish_seen_subcommand_from check df events info restore prune" -f -a "prune" -d 'Remove unused data'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from check" -l quick -d 'Believe content whose size is right'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from check" -l repair -d 'Make right what is wrong: fetch bad blobs again, unpack bad layers anew'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from df" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from df" -s v -l verbose -d 'Show every image, container and volume'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from events" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from events" -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from events" -l since -d 'Show also what has happened since a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from events" -l until -d 'End at a time (2013-01-02T13:23:37Z) or a duration before now (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from info" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from restore" -l install -d 'Have it done at every boot by the user\'s systemd ("systemd") or by cron ("crontab")' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from restore" -l print -d 'Print the unit of systemd ("systemd") or the line of crontab(5) ("crontab") that does it at every boot' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): until, label, label!' -r
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused images, not only those without a tag'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand system; and __fish_seen_subcommand_from prune" -l volumes -d 'Remove the unnamed volumes that nothing uses, too'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "build" -d 'Start a build'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "history" -d 'Show the history of an image'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "ls" -d 'List images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "list" -d 'List images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "tree" -d 'List images as a tree, with their platforms'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "import" -d 'Import the contents from a tarball to create a filesystem image'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "inspect" -d 'Display detailed information on one or more images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "load" -d 'Load an image from a tar archive or STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "prune" -d 'Remove unused images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "pull" -d 'Download an image from a registry'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "push" -d 'Upload an image to a registry'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "rm" -d 'Remove one or more images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "remove" -d 'Remove one or more images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "save" -d 'Save one or more images to a tar archive (streamed to STDOUT by default)'
complete -c coracle -n "__fish_coracle_using_subcommand image; and not __fish_seen_subcommand_from build history ls list tree import inspect load prune pull push rm remove save tag" -f -a "tag" -d 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l add-host -d 'Add a custom host-to-IP mapping (format: "host:ip")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l annotation -d 'Add annotation to the image (format: "[manifest|index:]key=value")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l attest -d 'Attestation parameters (format: "type=provenance")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l allow -d 'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l build-arg -d 'Set build-time variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l build-context -d 'Additional build contexts (e.g., name=path)' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l builder -d 'Override the configured builder instance' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cache-from -d 'External cache sources (e.g., "type=local,src=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cache-to -d 'Cache export destinations (e.g., "type=local,dest=path/to/dir")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l call -d 'Set method for evaluating build ("check", "targets")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s f -l file -d 'Name of the Dockerfile (default: "PATH/Dockerfile")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image ID to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l label -d 'Set metadata for an image' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write build result metadata to a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l network -d 'Set the networking mode for the "RUN" instructions during build' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do not cache specified stages' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s o -l output -d 'Output destination (format: "type=local,dest=path")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l platform -d 'Set target platform for build' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l progress -d 'Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l secret -d 'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l shm-size -d 'Shared memory size for build containers' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l ssh -d 'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s t -l tag -d 'Image identifier (format: "[registry/]repository[:tag]")' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l target -d 'Set the target build stage to build' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l ulimit -d 'Ulimit options' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l provenance -d 'Shorthand for "--attest=type=provenance"' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Nothing: commands of a build are in the group of the build' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l rm -d 'Nothing: what a step runs in never outlives it' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l isolation -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s m -l memory -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l memory-swap -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cpu-period -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cpu-quota -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s c -l cpu-shares -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cpuset-cpus -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l cpuset-mems -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l security-opt -d 'Nothing, as with BuildKit' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l check -d 'Shorthand for "--call=check"'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l load -d 'Shorthand for "--output=type=docker"'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l no-cache -d 'Do not use cache when building the image'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l pull -d 'Always attempt to pull all referenced images'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l push -d 'Shorthand for "--output=type=registry"'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Suppress the build output and print image ID on success'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l squash -d 'Squash newly built layers into a single new layer'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l compress -d 'Nothing: layers are stored unpacked'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from build" -l force-rm -d 'Nothing: what a step runs in never outlives it'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from history" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from history" -s H -l human -d 'Print sizes and times so that people can read them' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from history" -l platform -d 'Show the history of the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from history" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Only show image IDs'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show all images, also those without a name'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -l digests -d 'Show digests'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Only show image IDs'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from ls" -l tree -d 'List images as a tree, with their platforms'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -s a -l all -d 'Show all images, also those without a name'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -l digests -d 'Show digests'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only show image IDs'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from list" -l tree -d 'List images as a tree, with their platforms'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from tree" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from tree" -s a -l all -d 'Show all images, also those without a name'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from import" -s c -l change -d 'Apply a Dockerfile instruction to the image' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from import" -s m -l message -d 'Remark for the image\'s history' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from import" -l platform -d 'Platform of the image' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from inspect" -l platform -d 'Inspect the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from load" -s i -l input -d 'Read from this archive or OCI layout directory, instead of STDIN' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from load" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Suppress the progress'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): until, label, label!' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused images, not only those without a tag'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from pull" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from pull" -l disable-content-trust -d 'Accepted; images are not signed, and signatures not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Suppress everything but the image\'s name'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from pull" -s a -l all-tags -d 'Download every tag of the repository'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from push" -l platform -d 'Push the image for this platform alone, where there are several' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from push" -l disable-content-trust -d 'Accepted; images are not signed, and signatures not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Suppress everything but the image\'s name'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from push" -s a -l all-tags -d 'Push all tags of an image to the repository'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from rm" -l platform -d 'Remove the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from rm" -s f -l force -d 'Remove what stopped containers use, and what has several names'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from rm" -l no-prune -d 'Do not delete untagged parents, which images here never have'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from remove" -l platform -d 'Remove the image only if it is for this platform (os[/arch[/variant]])' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from remove" -s f -l force -d 'Remove what stopped containers use, and what has several names'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from remove" -l no-prune -d 'Do not delete untagged parents, which images here never have'
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from save" -l format -d 'docker-archive, oci-archive, oci-dir or docker-dir' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from save" -s o -l output -d 'Write to a file (or, for a format of directories, a directory), instead of STDOUT' -r
complete -c coracle -n "__fish_coracle_using_subcommand image; and __fish_seen_subcommand_from save" -l platform -d 'Save only the given platforms: a comma-separated list of os[/arch[/variant]]' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand update" -l restart -d 'What to do when the container ends' -r
complete -c coracle -n "__fish_coracle_using_subcommand version" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "create" -d 'Create a volume'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "inspect" -d 'Display detailed information on one or more volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "ls" -d 'List volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "list" -d 'List volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "prune" -d 'Remove unused local volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "rm" -d 'Remove one or more volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and not __fish_seen_subcommand_from create inspect ls list prune rm remove" -f -a "remove" -d 'Remove one or more volumes'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from create" -s d -l driver -d 'Driver of the volume: local' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from create" -l label -d 'Metadata (key=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from create" -l name -d 'The name, as older scripts give it' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from create" -s o -l opt -d 'Options of the driver: type=none, o=bind, device=DIR for a directory; type=tmpfs, device=tmpfs, o=size=… for memory' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Only show names'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from list" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only show names'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): label, label!, all' -r
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused volumes, not only those without a name'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from rm" -s f -l force -d 'Do not mind volumes that are not there'
complete -c coracle -n "__fish_coracle_using_subcommand volume; and __fish_seen_subcommand_from remove" -s f -l force -d 'Do not mind volumes that are not there'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "attach" -d 'Attach local standard input, output, and error streams to a running container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "commit" -d 'Create a new image from a container\'s changes'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "prune" -d 'Remove all stopped containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "cp" -d 'Copy files/folders between a container and the local filesystem'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "create" -d 'Create a new container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "diff" -d 'Inspect changes to files or directories on a container\'s filesystem'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "exec" -d 'Execute a command in a running container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "export" -d 'Export a container\'s filesystem as a tar archive'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "inspect" -d 'Display detailed information on one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "kill" -d 'Kill one or more running containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "logs" -d 'Fetch the logs of a container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "pause" -d 'Pause all processes within one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "unpause" -d 'Unpause all processes within one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "port" -d 'List port mappings or a specific mapping for the container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "ls" -d 'List containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "list" -d 'List containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "ps" -d 'List containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "rename" -d 'Rename a container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "restart" -d 'Restart one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "rm" -d 'Remove one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "remove" -d 'Remove one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "run" -d 'Create and run a new container from an image'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "start" -d 'Start one or more stopped containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "stats" -d 'Display a live stream of container(s) resource usage statistics'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "stop" -d 'Stop one or more running containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "top" -d 'Display the running processes of a container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "update" -d 'Update configuration of one or more containers'
complete -c coracle -n "__fish_coracle_using_subcommand container; and not __fish_seen_subcommand_from attach commit prune cp create diff exec export inspect kill logs pause unpause port ls list ps rename restart rm remove run start stats stop top update wait" -f -a "wait" -d 'Block until one or more containers stop, then print their exit codes'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from attach" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from attach" -l sig-proxy -d 'Pass signals on to the container' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from attach" -l no-stdin -d 'Do not attach STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from commit" -s a -l author -d 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from commit" -s c -l change -d 'Apply Dockerfile instruction to the created image' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from commit" -s m -l message -d 'Commit message' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from commit" -s p -l pause -d 'Pause container during commit' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits (name=value): until, label, label!' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from cp" -s q -l quiet -d 'Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from cp" -s a -l archive -d 'Archive mode (copy all uid/gid information)'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from cp" -s L -l follow-link -d 'Always follow symbol link in SRC_PATH'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l add-host -d 'Add a line to the container\'s /etc/hosts (host:ip)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l annotation -d 'Add an annotation for the runtime' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s a -l attach -d 'Attach to STDIN, STDOUT or STDERR' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-add -d 'Add Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-drop -d 'Drop Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cidfile -d 'Write the container\'s ID to this file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l device -d 'Show a device of the host in the container: its path, or its name in a CDI file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l domainname -d 'NIS domain name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l entrypoint -d 'Program to run in place of the image\'s ENTRYPOINT' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l gpus -d 'GPUs to show in the container (\'all\' to have all of them)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l group-add -d 'Add supplementary groups' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-cmd -d 'Command that finds out whether the container is healthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-interval -d 'Time between two checks (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-retries -d 'Failures in a row that make it unhealthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-start-interval -d 'Time between two checks in the start period (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-start-period -d 'Time after the start in which failures do not count (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l health-timeout -d 'Time after which a check has failed (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s h -l hostname -d 'Host name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s l -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l label-file -d 'Read labels from a file, one a line' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l log-driver -d 'How output is logged: json-file, local, journald or none' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l log-opt -d 'Options of the log: max-size, max-file, tag, labels, env' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l mount -d 'Mount a directory, a volume or memory' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l name -d 'Name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroup-parent -d 'Control group or slice that the container\'s own one is to be in' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-swappiness -d 'Accepted; the kernel has no such setting any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l dns -d 'Set nameservers' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-option -d 'Set options of the resolver' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-search -d 'Set domains in which short names are looked up' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l expose -d 'Declare a port or a range of ports' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l ip -d 'IPv4 address (e.g., 172.30.100.104)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l ip6 -d 'IPv6 address (e.g., 2001:db8::33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l link -d 'Add a link to another container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l link-local-ip -d 'Refused: the kernel gives link-local addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l mac-address -d 'Hardware address (e.g., 92:d0:c6:0a:29:33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l network -d 'Connect to a network: a name, bridge, host, none or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l network-alias -d 'Add a name that the container answers to on its network' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s p -l publish -d 'Publish a port of the container on the host' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroupns -d 'Cgroup namespace: host or private' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-count -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-percent -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l io-maxbandwidth -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l io-maxiops -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l ipc -d 'IPC namespace: private, shareable, none, host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l isolation -d 'How the container is kept apart; there is one way, "default"' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l oom-score-adj -d 'How likely the container is to be killed when memory is short (up to 1000)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l pid -d 'PID namespace: host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l runtime -d 'Runtime; there is one, coracle\'s own' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l storage-opt -d 'Refused: limits of the container\'s file system, which only root can set' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l userns -d 'User namespace: host, in which the container\'s root is you; or keep-id[:uid=N,gid=N], in which you have your own ids, or these' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l uts -d 'UTS namespace: host' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l volume-driver -d 'Driver of the volumes; there is one, "local"' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l volumes-from -d 'Mount what another container mounts (NAME[:ro])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l pull -d 'When to pull the image ("always", "missing", "never")' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l restart -d 'What to do when the container ends' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l security-opt -d 'Security options' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l shm-size -d 'Size of /dev/shm' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-signal -d 'Signal that stops the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-timeout -d 'Seconds to wait after the stop signal before killing' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l sysctl -d 'Set kernel parameters of the container\'s namespaces' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l tmpfs -d 'Mount memory at a directory' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l ulimit -d 'Set resource limits (name=soft[:hard])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s v -l volume -d 'Mount a directory or a volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l disable-content-trust -d 'Accepted; signatures of images are not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l init -d 'Run an init as process 1 that passes on signals and reaps children'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l oom-kill-disable -d 'Accepted; the kernel has no such setting any more'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s P -l publish-all -d 'Publish all declared ports on random ports of the host'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l no-healthcheck -d 'Run no health check'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l privileged -d 'Give the container everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Suppress the pull output'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l read-only -d 'Mount the container\'s root file system read-only'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -l rm -d 'Remove the container and its unnamed volumes when it ends'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from create" -s t -l tty -d 'Give the container a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Run in the background'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -l privileged -d 'Give the command everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Give the command a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to a file, instead of STDOUT' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Format of the output: json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from inspect" -s s -l size -d 'Count how much disk it takes'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from kill" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -l since -d 'Show what is not older than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -s n -l tail -d 'Number of lines to show from the end' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -l until -d 'Show what is not younger than a time (2013-01-02T13:23:37Z) or a duration (42m)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -l details -d 'Show what else is known of each line'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on until the container ends'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from logs" -s t -l timestamps -d 'Show the time of each line'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s n -l last -d 'Show the n last created containers, whatever their state' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s l -l latest -d 'Show the last created container, whatever its state'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Only show container IDs'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ls" -s s -l size -d 'Show how much disk they take'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s n -l last -d 'Show the n last created containers, whatever their state' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s l -l latest -d 'Show the last created container, whatever its state'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only show container IDs'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from list" -s s -l size -d 'Show how much disk they take'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s f -l filter -d 'Show only what fits (name=value)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s n -l last -d 'Show the n last created containers, whatever their state' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s l -l latest -d 'Show the last created container, whatever its state'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s q -l quiet -d 'Only show container IDs'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from ps" -s s -l size -d 'Show how much disk they take'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from restart" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from restart" -s t -l timeout -d 'Seconds to wait before killing the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from rm" -s f -l force -d 'Kill a running container first'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from rm" -s l -l link -d 'Remove a link of a container to another one (CONTAINER/ALIAS), and not the container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from rm" -s v -l volumes -d 'Remove the unnamed volumes of the container, too'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from remove" -s f -l force -d 'Kill a running container first'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from remove" -s l -l link -d 'Remove a link of a container to another one (CONTAINER/ALIAS), and not the container'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from remove" -s v -l volumes -d 'Remove the unnamed volumes of the container, too'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l add-host -d 'Add a line to the container\'s /etc/hosts (host:ip)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l annotation -d 'Add an annotation for the runtime' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s a -l attach -d 'Attach to STDIN, STDOUT or STDERR' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-add -d 'Add Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-drop -d 'Drop Linux capabilities' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cidfile -d 'Write the container\'s ID to this file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l device -d 'Show a device of the host in the container: its path, or its name in a CDI file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l domainname -d 'NIS domain name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l entrypoint -d 'Program to run in place of the image\'s ENTRYPOINT' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s e -l env -d 'Set environment variables' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l env-file -d 'Read environment variables from a file' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l gpus -d 'GPUs to show in the container (\'all\' to have all of them)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l group-add -d 'Add supplementary groups' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-cmd -d 'Command that finds out whether the container is healthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-interval -d 'Time between two checks (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-retries -d 'Failures in a row that make it unhealthy' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-start-interval -d 'Time between two checks in the start period (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-start-period -d 'Time after the start in which failures do not count (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l health-timeout -d 'Time after which a check has failed (ms|s|m|h)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s h -l hostname -d 'Host name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s l -l label -d 'Set labels' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l label-file -d 'Read labels from a file, one a line' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l log-driver -d 'How output is logged: json-file, local, journald or none' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l log-opt -d 'Options of the log: max-size, max-file, tag, labels, env' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l mount -d 'Mount a directory, a volume or memory' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l name -d 'Name of the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroup-parent -d 'Control group or slice that the container\'s own one is to be in' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-swappiness -d 'Accepted; the kernel has no such setting any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l dns -d 'Set nameservers' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-option -d 'Set options of the resolver' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-search -d 'Set domains in which short names are looked up' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l expose -d 'Declare a port or a range of ports' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l ip -d 'IPv4 address (e.g., 172.30.100.104)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l ip6 -d 'IPv6 address (e.g., 2001:db8::33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l link -d 'Add a link to another container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l link-local-ip -d 'Refused: the kernel gives link-local addresses' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l mac-address -d 'Hardware address (e.g., 92:d0:c6:0a:29:33)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l network -d 'Connect to a network: a name, bridge, host, none or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l network-alias -d 'Add a name that the container answers to on its network' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s p -l publish -d 'Publish a port of the container on the host' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroupns -d 'Cgroup namespace: host or private' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-count -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-percent -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l io-maxbandwidth -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l io-maxiops -d 'Refused: for containers of Windows' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l ipc -d 'IPC namespace: private, shareable, none, host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l isolation -d 'How the container is kept apart; there is one way, "default"' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l oom-score-adj -d 'How likely the container is to be killed when memory is short (up to 1000)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l pid -d 'PID namespace: host or container:NAME' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l runtime -d 'Runtime; there is one, coracle\'s own' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l storage-opt -d 'Refused: limits of the container\'s file system, which only root can set' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l userns -d 'User namespace: host, in which the container\'s root is you; or keep-id[:uid=N,gid=N], in which you have your own ids, or these' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l uts -d 'UTS namespace: host' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l volume-driver -d 'Driver of the volumes; there is one, "local"' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l volumes-from -d 'Mount what another container mounts (NAME[:ro])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l platform -d 'Platform of the image, where it has several' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l pull -d 'When to pull the image ("always", "missing", "never")' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l restart -d 'What to do when the container ends' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l security-opt -d 'Security options' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l shm-size -d 'Size of /dev/shm' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-signal -d 'Signal that stops the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-timeout -d 'Seconds to wait after the stop signal before killing' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l sysctl -d 'Set kernel parameters of the container\'s namespaces' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l tmpfs -d 'Mount memory at a directory' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l ulimit -d 'Set resource limits (name=soft[:hard])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s u -l user -d 'User name or id (format: <name|uid>[:<group|gid>])' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s v -l volume -d 'Mount a directory or a volume' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l sig-proxy -d 'Pass signals on to the container' -r -f -a "true\t''
false\t''"
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l disable-content-trust -d 'Accepted; signatures of images are not looked at'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l init -d 'Run an init as process 1 that passes on signals and reaps children'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l oom-kill-disable -d 'Accepted; the kernel has no such setting any more'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s P -l publish-all -d 'Publish all declared ports on random ports of the host'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l no-healthcheck -d 'Run no health check'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l privileged -d 'Give the container everything a user namespace can give'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Suppress the pull output'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l read-only -d 'Mount the container\'s root file system read-only'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -l rm -d 'Remove the container and its unnamed volumes when it ends'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s t -l tty -d 'Give the container a terminal'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from run" -s d -l detach -d 'Run in the background and print the container\'s ID'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from start" -l detach-keys -d 'Keys that detach from the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from start" -s a -l attach -d 'Attach STDOUT and STDERR, and pass signals on'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from start" -s i -l interactive -d 'Attach STDIN'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stats" -l format -d 'Format of the output: table, table TEMPLATE, json, or a Go template' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stats" -s a -l all -d 'Show all containers, not only running ones'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stats" -l no-stream -d 'Show the first result and end'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stats" -l no-trunc -d 'Do not cut columns short'
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stop" -s s -l signal -d 'Signal to send to the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from stop" -s t -l timeout -d 'Seconds to wait before killing the container' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l blkio-weight -d 'Share of disks that several want (10 to 1000, or 0 for none)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l blkio-weight-device -d 'The same for one disk (device:weight)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-period -d 'Period of the quota of processor time, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-quota -d 'Quota of processor time in each period, in microseconds' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-rt-period -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-rt-runtime -d 'Refused: cgroup v2 has no real-time scheduling' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -s c -l cpu-shares -d 'Share of processors that several want (1024 is everybody\'s)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpus -d 'Number of processors' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpuset-cpus -d 'Processors to run on (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l cpuset-mems -d 'Memory nodes to use (0-3, 0,1)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l device-read-bps -d 'Bytes a second that may be read from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l device-read-iops -d 'Reads a second from a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l device-write-bps -d 'Bytes a second that may be written to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l device-write-iops -d 'Writes a second to a disk (device:rate)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l kernel-memory -d 'Accepted; the kernel has no such limit any more' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -s m -l memory -d 'Memory limit' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l memory-reservation -d 'Memory that is left to the container when others are short of some' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l memory-swap -d 'Limit of memory and swap together: -1 for as much swap as there is' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l pids-limit -d 'Most processes and threads (-1 for any number)' -r
complete -c coracle -n "__fish_coracle_using_subcommand container; and __fish_seen_subcommand_from update" -l restart -d 'What to do when the container ends' -r
