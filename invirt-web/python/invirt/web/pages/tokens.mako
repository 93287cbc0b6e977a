<%inherit file="frame.mako"/>
<%block name="title">Tokens</%block>
<h1>Tokens</h1>
<p>With a token a program does for you what you let it, at <code>/api/1</code>, until it ends.</p>
% if error:
${self.refusal(error)}
% endif
% if made:
<div class="told" role="status"><p>This is the token. Keep it: it is shown this once.</p><p><code>${made}</code></p></div>
% endif
% if tokens:
<ul class="rows">
% for token in tokens:
<li><strong>${token.name}</strong> <span>${"reads and writes" if token.writes else "reads"}, ${(", ".join(token.machines) or "no machine any more") if token.scoped else "all your machines"}, until ${token.ends_at.strftime("%-d %B %Y")}</span>
<form method="post" action="/tokens/remove"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="name" value="${token.name}"><button>End<span class="unseen"> ${token.name}</span></button></form></li>
% endfor
</ul>
% else:
<p class="note">You have no tokens.</p>
% endif
<form method="post" action="/tokens/add" class="card">
<input type="hidden" name="secret" value="${secret}">
<div class="field"><label for="name">Name</label><input id="name" name="name" value="${typed.get("name", "")}" required maxlength="63" autocapitalize="off" autocomplete="off" spellcheck="false" placeholder="backup" aria-describedby="name-help"><small id="name-help">what you call it</small></div>
<div class="field"><label for="machine">Machines</label><input id="machine" name="machine" value="${typed.get("machine", "")}" maxlength="3000" autocapitalize="off" autocomplete="off" spellcheck="false" placeholder="${" ".join(machines[:2])}" aria-describedby="machine-help"><small id="machine-help">their names, with spaces between; none: all that are yours, new ones too</small></div>
<div class="field"><label for="write">It may change things</label><input type="checkbox" id="write" name="write" value="yes"${" checked" if typed.get("write") else ""}></div>
<div class="field"><label for="days">Days</label><input id="days" name="days" value="${typed.get("days", "30")}" required inputmode="numeric" maxlength="3" aria-describedby="days-help"><small id="days-help">after which it ends, at most 366</small></div>
<button class="button">Make it</button>
</form>
