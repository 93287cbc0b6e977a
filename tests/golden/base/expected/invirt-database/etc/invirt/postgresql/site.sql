-- What the database must know of invirt.yaml. invirt-database-setup runs it.
-- By which invirt-check tells whether another server goes by the same.
DELETE FROM site.sections;
INSERT INTO site.sections VALUES ('site', '0d362cecf4f6c8d2'), ('database', '67a6d6d17a36c8b1'), ('remote', '621a7c2e95b82652'), ('web', 'ad1141f0f3495b8a'), ('machines', '44136fa355b3678a'), ('quota', '44136fa355b3678a'), ('owners', '44136fa355b3678a'), ('mail', '44136fa355b3678a'), ('hypervisor', '44136fa355b3678a'), ('storage', '44136fa355b3678a'), ('network', '8cff03bf861c24c6'), ('console', 'e8aee15a0def90b9'), ('dns', '34e400efdaa39089'), ('dhcp', '314ca6be506e4ba7'), ('metrics', '44136fa355b3678a'), ('backup', '44136fa355b3678a');
UPDATE rules.address_hold SET seconds = 3600 WHERE seconds <> 3600;
-- Whose addresses no remote server gives to guests.
DELETE FROM rules.servers WHERE network <> ALL (ARRAY['192.0.2.0/28', '2001:db8::/64']::cidr[]);
INSERT INTO rules.servers SELECT unnest(ARRAY['192.0.2.0/28', '2001:db8::/64']::cidr[]) ON CONFLICT DO NOTHING;
-- Of hosts that were there before each had its own.
UPDATE hosts SET hypervisor = 'xen' WHERE hypervisor IS NULL;
-- Of what the first pool of disks is made, once.
UPDATE pools SET driver = 'lvm', place = 'invirt' WHERE driver IS NULL;
-- Of what names in DNS are made, beside machines.
SELECT dns.set_site(
    domain => 'invirt.test',
    zones => string_to_array('invirt.test,2.0.192.in-addr.arpa', ','),
    nameservers => string_to_array('dns.invirt.test', ','),
    hostmaster => 'hostmaster.invirt.test',
    ttl => 30
);
