"""The lab: a cluster of real servers on one machine, each a real systemd.

site       what the lab consists of: names, addresses, who does what
host       this machine: the packages that the lab needs, its folders, cgroups
images     the servers' file systems: a base, and a layer a role
supervisor process 1 of the lab's namespaces: network and containers
cluster    up, down, running commands on servers
fresh      servers with nothing installed, instead of the cluster
realm      the Kerberos realm and its keytabs
roles      what an administrator does to make the servers Invirt's
cell       a cell of AFS, whose lockers own machines
demo       the main job, from a user's point of view
"""
