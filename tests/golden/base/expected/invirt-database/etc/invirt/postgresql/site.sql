-- Of what names in DNS are made, beside machines. invirt-database-setup runs it.
SELECT dns.set_site(
    domain => 'invirt.test',
    zones => string_to_array('invirt.test,2.0.192.in-addr.arpa', ','),
    nameservers => string_to_array('dns.invirt.test', ','),
    hostmaster => 'hostmaster.invirt.test',
    ttl => 30
);
