<%inherit file="frame.mako"/>
<%block name="title">SSH keys</%block>
<h1>SSH keys</h1>
<p>With one of these you reach your machines' serial consoles without a ticket.</p>
% if error:
${self.refusal(error)}
% endif
% if keys:
<ul class="rows">
% for fingerprint, kind in keys.items():
<li><span>${kind}</span> <code>${fingerprint}</code>
<form method="post" action="/keys/remove"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="fingerprint" value="${fingerprint}"><button>Take back<span class="unseen"> ${fingerprint}</span></button></form></li>
% endfor
</ul>
% else:
<p class="note">You have no keys here.</p>
% endif
<form method="post" action="/keys/add" class="card">
<input type="hidden" name="secret" value="${secret}">
<div class="field"><label for="key">A key</label><input id="key" name="key" value="${typed}" required maxlength="3000" autocomplete="off" spellcheck="false" placeholder="ssh-ed25519 AAAA…" aria-describedby="key-help"><small id="key-help">the line of a .pub file, such as ~/.ssh/id_ed25519.pub</small></div>
<button class="button">Add it</button>
</form>
