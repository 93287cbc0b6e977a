<% from invirt import config %>\
# console(1) as the machines' logins and administrators run it.
config * {
    master ${config.console.hostname};
    port ${config.console.port};
    sslrequired yes;
    sslcredentials ${config.console.credentials};
    sslcacertificatefile ${config.console.ca};
    replay 0;
}
