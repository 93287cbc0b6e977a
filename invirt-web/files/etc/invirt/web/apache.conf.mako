<%
from invirt import config
from invirt.web import doors
from invirt.web.api import problem
name = config.web.hostname or "localhost"
there = doors.there()
certificate = config.web.certificate if "certificate" in there else None
pages, streams = "unix:/run/invirt-web/pages|http://pages", "unix:/run/invirt-web/streams|http://streams"
alone = "disablereuse=on timeout=60"
%>\
<%def name="served()">\
    ServerName ${name}
    SSLEngine On
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile /etc/invirt/web/server.pem
    # LimitRequestBody is not for what is handed on.
    <If "%{HTTP:Content-Length} -gt 65536">
        Redirect 413 /
    </If>
    <If "%{HTTP:Transfer-Encoding} != ''">
        Redirect 411 /
    </If>
    RequestReadTimeout header=10-20,MinRate=500 body=10,MinRate=500
    Header always set Strict-Transport-Security "max-age=31536000"
    ErrorDocument 503 "The pages don't answer. Try again in a minute."
    <Location /api/1/>
% for number, told in problem.of_apache().items():
        ErrorDocument ${number} ${'"' + told.replace('"', '\\"') + '"'}
% endfor
        Header always set Content-Type ${problem.TYPE} "expr=%{REQUEST_STATUS} -in {${', '.join(f"'{number}'" for number in problem.of_apache())}}"
    </Location>

    # What a browser says of itself is no identity, a password is for the door alone, a token for the API.
    RequestHeader unset Remoteuser
    RequestHeader unset Authorization "expr=! (%{REQUEST_URI} =~ m#^/(api/1|streams/operations)/# && %{HTTP:Authorization} =~ /^Bearer /)"
    # What is no path of ours is refused in words of ours, too.
    AllowEncodedSlashes NoDecode
    ProxyRequests Off
    ProxyPreserveHost On
</%def>\
<%def name="place(which)">\
    <Location /sign-on/${which}>
        AuthName "${config.site.domain}"
% for line in there[which].apache():
        ${line}
% endfor
        ${doors.said(there[which])}
        ErrorDocument 401 /sign-on/failed
    </Location>
</%def>\
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
    ServerName ${name}
    Redirect permanent / https://${name}/
</VirtualHost>

<VirtualHost *:443>
${served()}\
% if certificate:
    ProxyPass /sign-on/certificate !
    Redirect /sign-on/certificate https://${name}:${certificate.port}/sign-on/certificate
% endif
    ProxyPass /streams/ ${streams}/streams/ upgrade=websocket ${alone}
    ProxyPass / ${pages}/ ${alone}

% for which in there:
% if which not in ("certificate", "oidc"):
${place(which)}\
% endif
% endfor
% if "oidc" in there:
    <IfModule auth_openidc_module>
% for line in doors.oidc_server():
        ${line}
% endfor
${place("oidc")}\
    </IfModule>
    <IfModule !auth_openidc_module>
    <Location /sign-on/oidc>
        Require all denied
        ErrorDocument 403 "This server lacks libapache2-mod-auth-openidc. Sign on in another way, or ask ${config.site.contact}."
    </Location>
    </IfModule>
% endif
</VirtualHost>
% if certificate:

# Browsers are asked for a certificate as they connect, never later: so that has a port of its own, where
# nothing is but this door. The session it gives counts at the other; cookies know no ports.
Listen ${certificate.port}
<VirtualHost *:${certificate.port}>
${served()}\
    SSLCACertificateFile ${certificate.ca}
    SSLVerifyClient optional
    SSLVerifyDepth 3
% if certificate.revoked:
    SSLCARevocationFile ${certificate.revoked}
    SSLCARevocationCheck leaf
% endif
    ProxyPass /sign-on/certificate ${pages}/sign-on/certificate ${alone}
    ProxyPass /static/ ${pages}/static/ ${alone}
    Redirect / https://${name}/
    Header edit Location ^/ https://${name}/

${place("certificate")}\
</VirtualHost>
% endif
