"""The kernel and ramdisk that machines boot unless their type says others, made of Debian's."""
