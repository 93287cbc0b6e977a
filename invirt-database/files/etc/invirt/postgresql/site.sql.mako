<%
from invirt import config
from invirt.config.digests import sections
dns, domain = config.dns, config.site.domain
zones = ",".join(dict.fromkeys((domain, *dns.zones)))
servers = ", ".join(f"'{server}'" for server in config.network.servers)
digests = ", ".join(f"('{section}', '{digest}')" for section, digest in sections(config.current()).items())
nameservers = ",".join(dns.nameservers or dns.servers or (f"ns.{domain}",))
%>\
-- What the database must know of invirt.yaml. invirt-database-setup runs it.
-- By which invirt-check tells whether another server goes by the same.
DELETE FROM site.sections;
INSERT INTO site.sections VALUES ${digests};
UPDATE rules.address_hold SET seconds = ${config.network.address_hold} WHERE seconds <> ${config.network.address_hold};
-- Whose addresses no remote server gives to guests.
DELETE FROM rules.servers WHERE network <> ALL (ARRAY[${servers}]::cidr[]);
INSERT INTO rules.servers SELECT unnest(ARRAY[${servers}]::cidr[]) ON CONFLICT DO NOTHING;
% if config.hypervisor.driver != "auto":
-- Of hosts that were there before each had its own.
UPDATE hosts SET hypervisor = '${config.hypervisor.driver}' WHERE hypervisor IS NULL;
% endif
-- Of what the first pool of disks is made, once.
UPDATE pools SET driver = '${config.storage.driver}', place = '${config.storage.place}' WHERE driver IS NULL;
-- Of what names in DNS are made, beside machines.
SELECT dns.set_site(
    domain => '${domain}',
    zones => string_to_array('${zones}', ','),
    nameservers => string_to_array('${nameservers}', ','),
    hostmaster => '${dns.hostmaster or f"hostmaster.{domain}"}',
    ttl => ${dns.ttl}
);
