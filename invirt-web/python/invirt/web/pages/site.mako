<%inherit file="frame.mako"/>
<%block name="title">The site's ${name}</%block>
<%
from urllib.parse import urlencode
def link(**more):
    return "?" + urlencode({key: value for key, value in {"words": words, "order": order, **kept, **more}.items() if value})
stems = {column: link(**{column: ""}) for column in table.filters}
%>
<h1>The site</h1>
<nav class="tabs" aria-label="Tables">
% for one in lists:
<a href="/site/${one}"${' aria-current="page"' if one == name else "" | n}>${one.capitalize()}</a>
% endfor
</nav>
% for alarm in alarms:
<div class="refusal" role="alert"><strong>${alarm.name} is said to run on ${" and on ".join(alarm.hosts)}</strong></div>
% endfor
% if error and typed.get("verb") not in table.verbs:
${self.refusal(error)}
% endif
<form class="search" role="search" action="/site/${name}">
<label for="words">Search</label>
<input id="words" name="words" value="${words}" maxlength="100" type="search">
% for key, value in kept.items():
<input type="hidden" name="${key}" value="${value}">
% endfor
<button>Search</button>
% for key, value in kept.items():
<a class="chip" href="${link(**{key: ""})}">${key}: ${value} ✕</a>
% endfor
</form>
<table class="folds">
<thead><tr>
% for heading, column in table.columns.items():
<th scope="col"${f' aria-sort="{"descending" if order[0] == "-" else "ascending"}"' if order.lstrip("-") == column else "" | n}><a href="${link(order=("-" if order == column else "") + column)}">${heading}</a></th>
% endfor
</tr></thead>
<tbody>
% for row in rows:
<tr class="${"dim" if getattr(row, "state", "") == "unknown" or (getattr(row, "silence", 0) or 0) > 15 else ""}">
% for heading, column in table.columns.items():
<% value = getattr(row, column) %>
<td data-label="${heading}">\
% if column == "name" and name == "machines":
<a href="/machines/${value}">${value}</a>\
% elif column == "operation_id":
<a href="/operations/${value}">${value}</a>\
% elif column == "state" and name == "machines":
<span class="state ${value}">${state(row)}</span>\
% elif name == "requests" and column in ("amount", "has"):
${amount(row.resource, value)}\
% elif name == "requests" and column == "state":
% if value == "open" and forms:
<form method="post" action="/site/requests"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="verb" value="admin quota grant"><input type="hidden" name="number" value="${row.request_id}"><button>Grant<span class="unseen"> request ${row.request_id}</span></button></form>\
<form method="post" action="/site/requests"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="verb" value="admin quota refuse"><input type="hidden" name="number" value="${row.request_id}"><input name="why" maxlength="200" placeholder="why not" aria-label="Why request ${row.request_id} is refused"><button>Refuse<span class="unseen"> request ${row.request_id}</span></button></form>\
% else:
${value}${f" by {person(row.decided_by)}" if row.decided_by else ""}${f": {row.answer}" if row.answer else ""}\
% endif
% elif column in table.filters and value is not None and not isinstance(value, bool):
<a href="${f"{stems[column]}&{urlencode({column: value})}"}">${value}</a>\
% elif column in ("created_at", "at"):
<time datetime="${value.isoformat()}">${since(value)}</time>\
% elif column == "lost_at":
% if value is not None:
<time datetime="${value.isoformat()}">${since(value)}</time>, by ${row.lost_by}\
% endif
% elif column == "silence":
${"never" if value is None else ago(round(value))}\
% elif column == "load":
${"" if value is None else f"{100 * value:.0f} %"}\
% elif column == "accelerator":
${"emulated: slow" if value == "tcg" else value or ""}\
% elif column == "principal":
${person(value)}\
% elif column == "used_memory":
${gib(value)} of ${gib(row.memory)}\
% elif column in ("memory", "promised"):
${gib(value)}\
% elif isinstance(value, bool):
${"yes" if value else "no"}\
% elif column.startswith("used_"):
<% most = getattr(row, column.removeprefix("used_")) %>\
${value}${"" if most is None else f" of {most}"}${" GiB" if column == "used_disk" else ""}\
% elif column == "trash" or column == "size" and name == "pools":
${value} GiB\
% elif column == "hosts" and row.everywhere:
all\
% elif isinstance(value, list):
${", ".join(value)}\
% else:
${"" if value is None else value}\
% endif
</td>
% endfor
</tr>
% endfor
</tbody>
</table>
% if not rows:
<p class="empty">There is nothing here.</p>
% endif
<nav class="pager" aria-label="Pages of the table">
% if page > 1:
<a rel="prev" href="${link(page=page - 1)}">Before</a>
% endif
<span>Page ${page}</span>
% if more:
<a rel="next" href="${link(page=page + 1)}">Next</a>
% endif
</nav>
% if upkeep:
<section id="upkeep" aria-labelledby="upkeep-heading" aria-live="polite">
<h2 id="upkeep-heading">Upkeep</h2>
<ul class="rows">
% for one in upkeep:
<li><span><strong>${one.host}</strong> ${plain(one.kind)}: ${one.step}\
% if one.hosts > 1:
 (${one.done} of ${one.hosts} hosts are done)\
% endif
${f", {one.told}" if one.told else ""}</span>
% if one.failed:
<span class="refusal" role="alert"><strong>${one.failed}</strong> <span>${one.todo}</span></span>
% endif
<small>by ${person(one.principal)}, <time datetime="${one.step_at.isoformat()}">${since(one.step_at)}</time></small></li>
% endfor
</ul>
</section>
% endif
% if losses is not None:
<section>
<h2>Should one die</h2>
% if isinstance(losses, str):
<p class="note">Nobody says what would have room elsewhere: ${losses}</p>
% elif not losses:
<p>Of any one host's machines, all would have room on the others.</p>
% else:
<ul>
% for host in losses:
<li>${host["name"]}: machines of ${gib(host["without_room"])} would have no room on the others.</li>
% endfor
</ul>
% endif
</section>
% endif
% if moves is None and losses is not None:
<p><a href="?moves=all">Which moves would help?</a></p>
% elif isinstance(moves, str):
<p class="note">Nobody says which moves would help: ${moves}</p>
% elif moves is not None and not moves:
<p>No move would help: memory is evenly used.</p>
% elif moves:
<section>
<h2>Moves that would help</h2>
<table class="folds">
<thead><tr><th scope="col">Machine</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Why</th></tr></thead>
<tbody>
% for move in moves:
<tr><td data-label="Machine"><a href="/machines/${move["machine"]}">${move["machine"]}</a></td><td data-label="From">${move["from"]}</td><td data-label="To">${move["to"]}</td><td data-label="Why">${move["why"]}
<form method="post" action="/site/hosts"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="verb" value="admin machine migrate"><input type="hidden" name="name" value="${move["machine"]}"><input type="hidden" name="host" value="${move["to"]}"><button>Move<span class="unseen"> ${move["machine"]} to ${move["to"]}</span></button></form></td></tr>
% endfor
</tbody>
</table>
</section>
% endif
% if table.verbs:
<section>
<h2>Change</h2>
% if forms:
${self.verbs_of(f"/site/{name}", table.verbs, forms, typed, error)}
% else:
<p class="refusal" role="alert"><strong>The remote server doesn't answer, so nothing can be changed now.</strong></p>
% endif
</section>
% endif
