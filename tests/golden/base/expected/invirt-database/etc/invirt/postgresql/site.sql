-- What the database must know of invirt.yaml. invirt-database-setup runs it.
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
