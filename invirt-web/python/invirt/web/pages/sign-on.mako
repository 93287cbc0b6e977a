<%inherit file="frame.mako"/>
<%block name="title">Sign on</%block>
<div class="door card">
<h1>Sign on</h1>
% if failed:
<div class="refusal" role="alert"><strong>You were not signed on.</strong> <span>Try again: a browser's first try with a ticket may fail. Without a ticket, use your password.</span></div>
% endif
% for name, door in doors.items():
<p><a class="button" href="/sign-on/${name}?next=${next_page | u}">Sign on ${door.called}</a></p>
% endfor
<p class="note">A session lasts ten hours.</p>
</div>
