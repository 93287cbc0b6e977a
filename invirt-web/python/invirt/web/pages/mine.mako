<%inherit file="frame.mako"/>
<%block name="title">My machines</%block>
<div class="head"><h1>My machines</h1><a class="button" href="/new">New machine</a></div>
% if machines:
<table class="folds">
<thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Address</th><th scope="col">Memory</th><th scope="col">Disk</th><th scope="col">Owner</th><th scope="col">CPU, last day</th></tr></thead>
<tbody>
% for machine in machines:
<tr class="${"dim" if machine.state == "unknown" else ""}">
<th scope="row"><a href="/machines/${machine.name}">${machine.name}</a>
% if machine.description:
<small>${machine.description}</small>
% endif
% if machine.befell:
<small>${machine.befell}</small>
% endif
</th>
<td data-label="State"><span class="state ${machine.state}"${f' data-operation="{machine.move}"' if machine.move else "" | n}>${state(machine)}</span>\
% if machine.busy and not machine.move:
 <small>${plain(machine.busy)} is under way</small>\
% endif
</td>
<td data-label="Address">${", ".join(machine.addresses) or "none"}</td>
<td data-label="Memory">${gib(machine.memory)}</td>
<td data-label="Disk">${machine.disk or 0} GiB</td>
<td data-label="Owner">${machine.owner}</td>
<td data-label="CPU, last day"><img class="day" src="/machines/${machine.name}/day.svg" alt="a curve of its CPU" loading="lazy" width="120" height="26"></td>
</tr>
% endfor
</tbody>
</table>
% else:
<div class="empty"><p>You have no machine yet.</p><p><a class="button" href="/new">Make one</a></p></div>
% endif
% if offers:
<section aria-labelledby="offers">
<h2 id="offers">Offered to you</h2>
<ul class="rows">
% for offer in offers:
<li><span><strong>${offer.machine}</strong> ${gib(offer.memory)}, to ${offer.to_name}, by ${person(offer.principal)}</span>
<form method="post" action="/offers/${offer.machine}/accept"><input type="hidden" name="secret" value="${secret}"><button>Accept<span class="unseen"> ${offer.machine}</span></button></form>
<form method="post" action="/offers/${offer.machine}/decline"><input type="hidden" name="secret" value="${secret}"><button>Decline<span class="unseen"> ${offer.machine}</span></button></form></li>
% endfor
</ul>
</section>
% endif
<section aria-labelledby="left">
<h2 id="left">What is left</h2>
<p><a href="/quotas">What is used, and asking for more</a></p>
% for quota in quotas:
<h3>${quota["name"]}</h3>
<dl class="quota">
% for what, used, most in (("Machines", quota["used_machines"], quota["machines"]), ("Running", quota["used_running"], quota["running"]), ("Memory", quota["used_memory"], quota["memory"]), ("Disk", quota["used_disk"] + quota["trash"], quota["disk"]), ("CPUs", quota["used_cpus"], quota["cpus"]), ("Addresses", quota["used_addresses"], quota["addresses"])):
% if most is not None:
<% shown = {"Memory": gib, "Disk": lambda size: f"{size} GiB"}.get(what, str) %>
<div><dt id="q-${loop.index}-${loop.parent.index}">${what}</dt><dd><meter aria-labelledby="q-${loop.index}-${loop.parent.index}" min="0" max="${most or 1}" value="${min(used, most)}" high="${0.9 * most}"></meter> ${shown(max(0, most - used))} of ${shown(most)} left</dd></div>
% endif
% endfor
</dl>
% if quota["trash"]:
<p class="note">${quota["trash"]} GiB of the disk are in the trash.</p>
% endif
% endfor
</section>
% if trash:
<section aria-labelledby="trash">
<h2 id="trash">Trash</h2>
<ul class="rows">
% for thing in trash:
<li><strong>${thing.name}</strong> ${thing.disk or 0} GiB, ends on ${thing.ends_at.strftime("%-d %B, %H:%M")}
<form method="post" action="/trash/${thing.name}/undelete"><input type="hidden" name="secret" value="${secret}"><button>Give back</button></form>
<details><summary>End it now</summary>
<form method="post" action="/trash/${thing.name}/purge"><input type="hidden" name="secret" value="${secret}">
<div class="field"><label for="end-${thing.trash_id}">Type its name: nobody can give it back then</label><input id="end-${thing.trash_id}" name="typed_name" autocomplete="off" autocapitalize="off" required maxlength="63"></div>
<button class="danger">End ${thing.name}</button></form></details></li>
% endfor
</ul>
</section>
% endif
