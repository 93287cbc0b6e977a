<% from invirt import config %>\
# The port that invirt.yaml names.
[Socket]
ListenStream=
ListenStream=${config.hypervisor.move_port}
