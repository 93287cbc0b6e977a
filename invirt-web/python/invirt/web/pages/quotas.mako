<%inherit file="frame.mako"/>
<%block name="title">Quotas</%block>
<h1>Quotas</h1>
% for name, lines in owners:
<section aria-labelledby="owner-${loop.index}">
<h2 id="owner-${loop.index}">${name}</h2>
<table class="folds">
<thead><tr><th scope="col">What</th><th scope="col">Used</th><th scope="col">Allowed</th></tr></thead>
<tbody>
% for what, used, allowed, note in lines:
<tr><th scope="row">${what}</th><td data-label="Used">${used}\
% if note:
 <small>${note}</small>\
% endif
</td><td data-label="Allowed">${allowed}</td></tr>
% endfor
</tbody>
</table>
</section>
% endfor
% if not owners:
<p class="note">You own nothing here. Somebody who does can let you in.</p>
% endif
% if asked:
<section aria-labelledby="asked">
<h2 id="asked">Asked for</h2>
<ul class="rows">
% for one in asked:
<li><span><strong>${resources[one.resource][0]}: ${amount(one.resource, one.amount)}</strong> for ${one.name}, by ${person(one.principal)}, ${since(one.at)}${f": {one.why}" if one.why else ""}</span>
<span>${{"open": "nobody has answered yet"}.get(one.state, one.state)}${f" by {person(one.decided_by)}" if one.decided_by else ""}${f": {one.answer}" if one.answer else ""}</span></li>
% endfor
</ul>
</section>
% endif
% if fields:
<section aria-labelledby="more">
<h2 id="more">Ask for more</h2>
<p>Say how much it is to be in all. An administrator of the site grants or refuses it.</p>
% if error:
${self.refusal(error)}
% endif
<form method="post" action="/quotas" class="card">
<input type="hidden" name="secret" value="${secret}">
% for one in fields:
${self.field(one, typed, "ask")}
% endfor
<button class="button">Ask</button>
</form>
</section>
% else:
<p class="refusal" role="alert"><strong>The remote server doesn't answer, so nothing can be asked for now.</strong></p>
% endif
