<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title><%block name="title">Machines</%block> · ${config.site.domain}</title>
<link rel="stylesheet" href="/static/style.css">
<%block name="head"/>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
% if script:
<script src="/static/${script}.js" type="module"></script>
% endif
% if script and again:
<noscript><meta http-equiv="refresh" content="${again}"></noscript>
% endif
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="top">
<a class="brand" href="/">${config.site.domain}</a>
% if who:
<nav aria-label="Pages">
% for to, label in (("/", "My machines"), ("/new", "New machine"), ("/keys", "Keys"), ("/tokens", "Tokens"), ("/help", "Help")):
<a href="${to}"${' aria-current="page"' if here == to else "" | n}>${label}</a>
% endfor
% if administrator:
<a href="/site"${' aria-current="page"' if here.startswith("/site") else "" | n}>Site</a>
% endif
</nav>
<form method="post" action="/sign-off" class="who">
<input type="hidden" name="secret" value="${secret}">
<span title="${who}">${person(who)}</span>
<button class="plain">Sign off</button>
</form>
% endif
</header>
<main id="content">
% if told:
<p class="told" role="status">${told}</p>
% endif
${next.body()}
</main>
<footer><p>Questions: ${config.site.contact}</p></footer>
</body>
</html>
<%def name="refusal(error)">
<div class="refusal" role="alert"><strong>${error.message}</strong>
% if error.hint:
<span>${error.hint}</span>
% endif
</div>
</%def>
<%def name="field(one, typed, prefix)">
<div class="field">
<label for="${prefix}-${one.name}">${one.label}</label>
% if one.choices:
<select id="${prefix}-${one.name}" name="${one.name}">
% if not one.required:
<option value=""></option>
% endif
% for choice in one.choices:
<option${" selected" if typed.get(one.name) == choice else ""}>${choice}</option>
% endfor
</select>
% elif one.kind == "flag":
<input type="checkbox" id="${prefix}-${one.name}" name="${one.name}" value="yes"${" checked" if typed.get(one.name) else ""}${f' aria-describedby="{prefix}-{one.name}-help"' | n}>
% else:
<input id="${prefix}-${one.name}" name="${one.name}" value="${typed.get(one.name, "")}" maxlength="1000" placeholder="${one.sample}" autocapitalize="off" autocomplete="off" spellcheck="false"${" required" if one.required else ""}${f' aria-describedby="{prefix}-{one.name}-help"' | n}>
% endif
<small id="${prefix}-${one.name}-help">${one.help}${f"; in {one.unit}, or with a unit: 512M, 2G" if one.unit else ""}</small>
</div>
</%def>
<%def name="verbs_of(action, verbs, forms, typed, error, **given)">
% for verb, words in verbs.items():
% if verb in forms:
<% wrong = error is not None and typed.get("verb") == verb %>
<details class="change"${" open" if wrong else ""}>
<summary>${words}</summary>
% if wrong:
${self.refusal(error)}
% endif
<form method="post" action="${action}">
<input type="hidden" name="secret" value="${secret}">
<input type="hidden" name="verb" value="${verb}">
% for key, value in given.items():
<input type="hidden" name="${key}" value="${value}">
% endfor
% for one in forms[verb].asked(*given):
${self.field(one, typed if wrong else {}, verb.replace(" ", "-"))}
% endfor
<button>${words}</button>
</form>
</details>
% endif
% endfor
</%def>
