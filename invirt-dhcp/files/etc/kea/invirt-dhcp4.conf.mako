<%
import ipaddress
import json
import sysconfig
from invirt import config
from invirt.base.identity import own_database_role
database = {
    "type": "postgresql",
    "host": ",".join(config.database.all),
    "port": config.database.port,
    "name": config.database.name,
    "user": own_database_role("dhcp"),
    "connect-timeout": config.database.connect_timeout,
    # Without its database Kea is silent, and asks for it each second: a guest
    # whose renewal isn't answered keeps its address, one that is refused drops it.
    "max-reconnect-tries": 1000000,
    "reconnect-wait-time": 1000,
    "on-fail": "stop-retry-exit",
}
options = [{"name": "domain-name", "data": config.site.domain}]
if config.network.dns:
    options.append({"name": "domain-name-servers", "data": ", ".join(config.network.dns)})
lease = config.dhcp.lease
# A machine's netmask is its address range's. Kea would send the one of its own
# "subnet": what a machine's class says is put in its place.
netmasks = {f"prefix{prefix}": str(ipaddress.ip_network((0, prefix)).netmask) for prefix in range(8, 33)}
hooks = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}/kea/hooks"
kea = {
    "Dhcp4": {
        # Requests come by the hosts' relays; renewals, from the guest itself.
        "interfaces-config": {"interfaces": ["*"], "dhcp-socket-type": "udp"},
        "hosts-database": {**database, "readonly": True},
        "lease-database": database,
        "expired-leases-processing": {"reclaim-timer-wait-time": 0, "flush-reclaimed-timer-wait-time": 0},
        # A guest is known by its MAC, and has its address wherever it runs.
        "host-reservation-identifiers": ["hw-address"],
        "reservations-global": True,
        "reservations-in-subnet": False,
        "match-client-id": False,
        # There are no addresses but those of the database: none for strangers.
        "subnet4": [{"id": 1, "subnet": "0.0.0.0/0", "pools": []}],
        "client-classes": [{"name": name} for name in netmasks],
        "hooks-libraries": [
            {
                "library": f"{hooks}/libdhcp_flex_option.so",
                "parameters": {
                    "options": [
                        {"code": 1, "supersede": netmask, "client-class": name} for name, netmask in netmasks.items()
                    ]
                },
            }
        ],
        "authoritative": True,
        "valid-lifetime": lease,
        "renew-timer": lease // 2,
        "rebind-timer": lease * 7 // 8,
        "calculate-tee-times": False,
        "option-data": options,
        "loggers": [
            {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout", "pattern": "%-5p %m\n"}]}
        ],
    }
}
%>\
${json.dumps(kea, indent=2)}
