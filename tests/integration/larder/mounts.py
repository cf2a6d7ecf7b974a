"""Name spaces of a test's own, which need the rights of root."""

from larder.rights import as_root


def in_another_mount_namespace(root, script):
    """Runs a shell script to which $1 is `root`, mounted elsewhere in a name space of its own."""
    inner = 'mount --bind "$1" /mnt && ' + script
    return as_root("unshare", "--mount", "sh", "-ec", inner, "sh", root)
