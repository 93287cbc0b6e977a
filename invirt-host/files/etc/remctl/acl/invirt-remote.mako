<% from invirt import config %>\
# Whom this host obeys: the remote servers.
% for principal in config.remote_principals:
${principal}
% endfor
