<% from invirt import config %>\
# Who may speak for users (`web`) and control every machine: the web server.
% if config.web.hostname:
host/${config.web.hostname}@${config.site.realm}
% endif
