<% from invirt import config %>\
# Who may come as which role. Servers come by Kerberos, encrypted; root and
# postgres of this server come through the socket. The first match decides.
# TYPE      DATABASE  USER      ADDRESS  METHOD
local       all       postgres           peer
local       ${config.database.name}  invirt             peer map=invirt
local       ${config.database.name}  invirt_members     peer map=invirt
local       ${config.database.name}  invirt_mail        peer map=invirt
local       ${config.database.name}  all                reject
local       all       all                peer
% if len(config.database.all) > 1:
hostgssenc  replication  invirt_standby  all  gss include_realm=1 krb_realm=${config.site.realm} map=invirt
% endif
hostgssenc  ${config.database.name}  invirt    all      reject
hostgssenc  ${config.database.name}  postgres  all      reject
hostgssenc  ${config.database.name}  invirt_members  all  reject
hostgssenc  ${config.database.name}  invirt_mail  all    reject
hostgssenc  ${config.database.name}  all       all      gss include_realm=1 krb_realm=${config.site.realm} map=invirt
