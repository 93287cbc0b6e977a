<%
from invirt import config
from invirt.web import doors
%>\
# Invirt's pages: TLS and sign-on are Apache's, all else is behind the socket.
ServerTokens Prod
ServerSignature Off
TraceEnable Off

# Each stream holds a thread as long as it lasts.
<IfModule mpm_event_module>
    ThreadsPerChild 64
    ServerLimit 20
    MaxRequestWorkers 1280
</IfModule>

<VirtualHost *:80>
    ServerName ${config.web.hostname or "localhost"}
    Redirect permanent / https://${config.web.hostname or "localhost"}/
</VirtualHost>

<VirtualHost *:443>
    ServerName ${config.web.hostname or "localhost"}
    SSLEngine On
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile /etc/invirt/web/server.pem
    LimitRequestBody 65536
    RequestReadTimeout header=10-20,MinRate=500 body=10,MinRate=500
    Header always set Strict-Transport-Security "max-age=31536000"
    ErrorDocument 503 "The pages don't answer. Try again in a minute."

    # What a browser says of itself is no identity, a password is for the door alone, a token for the API.
    RequestHeader unset Remoteuser
    RequestHeader unset Authorization "expr=! (%{REQUEST_URI} =~ m#^/(api/1|streams/operations)/# && %{HTTP:Authorization} =~ /^Bearer /)"
    ProxyRequests Off
    ProxyPreserveHost On
    ProxyPass /streams/ unix:/run/invirt-web/streams|http://streams/streams/ upgrade=websocket disablereuse=on timeout=60
    ProxyPass / unix:/run/invirt-web/pages|http://pages/ disablereuse=on timeout=60

% for name, door in doors.there().items():
    <Location /sign-on/${name}>
        AuthName "${config.site.domain}"
% for line in door.apache:
        ${line}
% endfor
        Require valid-user
        RequestHeader set Remoteuser "expr=%{REMOTE_USER}" "expr=%{REMOTE_USER} =~ m#^[!-~]{1,255}\\z#"
        ErrorDocument 401 /sign-on/failed
    </Location>
% endfor
</VirtualHost>
