<%inherit file="frame.mako"/>
<%block name="title">${machine.name}</%block>
<%
typed = refused["typed"] if refused else {}
wrong = refused["verb"] if refused else ""
may = bool(set(machine.roles) - {"user"})
told_below = may and (wrong in forms or wrong in ("look", "install", "rescue"))
%>
<div class="head"><h1>${machine.name}</h1><span class="state ${machine.state}"${f' data-operation="{machine.move}"' if machine.move else "" | n}>${state(machine)}</span>
% if config.console.hostname:
<a class="button" href="/machines/${machine.name}/console">Console</a>
% endif
% if screen:
<a class="button" href="/machines/${machine.name}/screen">Screen</a>
% endif
</div>
% if machine.description:
<p>${machine.description}</p>
% endif
% if set(machine.roles) == {"administrator"}:
<p class="note">You see it as an administrator of the site; its owner sees what you do.</p>
% endif
% if busy:
<p class="told" role="status"><a href="/operations/${busy.operation_id}">${plain(busy.kind).capitalize()}</a> is under way.</p>
% endif
% if wrong and not told_below:
${self.refusal(refused["error"])}
% endif
% if link:
<div class="told" role="status"><p>Whoever has this link sees the console for an hour, and can type nothing. It is shown this once.</p><p><a href="${link}">https://${address}${link}</a></p></div>
% endif
% if password:
<div class="told" role="status"><p>${system.system if system else "It"} is being installed. root's password, which is shown this once:</p><p><code>${password}</code></p></div>
% endif
% if rescued:
<p class="told">It runs the rescue system: its console has a shell, its disks are as they were. Reboot ends it.</p>
% endif
% if machine.befell:
<p class="told">${machine.befell}.</p>
% endif
<div class="power">
% for verb, words in power.items():
<form method="post" action="/machines/${machine.name}/${verb}"><input type="hidden" name="secret" value="${secret}"><button class="${"button" if loop.first else ""}">${words}</button></form>
% endfor
</div>
<dl class="facts">
<div><dt>Owner</dt><dd>${machine.owner}</dd></div>
% if machine.host:
<div><dt>Host</dt><dd>${machine.host}</dd></div>
% endif
% if machine.state == "off" and machine.why_off:
<div><dt>Off because</dt><dd>${machine.why_off}</dd></div>
% endif
<div><dt>Memory</dt><dd>${gib(machine.memory)}</dd></div>
<div><dt>CPUs</dt><dd>${machine.cpus}</dd></div>
<div><dt>Type</dt><dd>${machine.type}</dd></div>
% if system:
<div><dt>System</dt><dd>${system.system}${"" if system.installed_at and not system.coming else ", being installed" if system.coming else ", half installed"}</dd></div>
% endif
% if cd:
<div><dt>CD</dt><dd>${cd.name}${", which it boots" if cd.boots_cdrom else ""}</dd></div>
% endif
<div><dt>Disks</dt><dd>${", ".join(f"{disk.name} {disk.size} GiB" for disk in disks) or "none"}</dd></div>
% for nic in nics:
<div><dt>Address</dt><dd>${" and ".join(filter(None, (nic.ip, nic.ip6))) or "none"} <small>${nic.mac_addr}</small></dd></div>
% endfor
<div><dt>${"Names" if len(names) > 1 else "Name"} in DNS</dt><dd>${", ".join(names)}</dd></div>
% if held:
<div><dt>Held to</dt><dd>${", ".join(held)}</dd></div>
% endif
<div><dt>Starts again</dt><dd>${"by itself after a crash" if machine.autostart else "only when told"}</dd></div>
% if may and machine.apart:
<div><dt>Never on one host with</dt><dd>${", ".join(machine.apart)}</dd></div>
% endif
% if machine.priority != 5:
<div><dt>Priority</dt><dd>${machine.priority} of 0 to 9</dd></div>
% endif
<div><dt>Made</dt><dd>${machine.created_at.strftime("%-d %B %Y")}</dd></div>
</dl>
<p class="note">By ssh: <code>ssh root@${machine.name}.${config.site.domain}</code>\
% if config.console.hostname:
; its serial console: <code>ssh ${machine.name}@${config.console.hostname}</code>\
% endif
</p>

<section aria-labelledby="used">
<h2 id="used">What it uses</h2>
<nav class="tabs" aria-label="Period">
% for period in periods:
<a href="?of=${period}#used"${' aria-current="true"' if period == of else "" | n}>${period}</a>
% endfor
</nav>
% if plots:
<div class="plots">
% for plot in plots:
<figure>
<figcaption>${plot.title} <small>${plot.unit}, at most ${plot.top}</small></figcaption>
<svg viewBox="0 -2 ${WIDE} ${HIGH + 4}" role="img" aria-label="${plot.told}" preserveAspectRatio="none">
<path class="grid" d="M0 0H${WIDE}M0 ${HIGH / 2}H${WIDE}M0 ${HIGH}H${WIDE}"/>
% for curve in plot.curves:
<path class="curve c${loop.index}" d="${curve.path}"/>
% endfor
</svg>
<p class="legend">
% for curve in plot.curves:
<span class="c${loop.index}">${curve.name} ${curve.last}</span>
% endfor
</p>
</figure>
% endfor
</div>
% else:
<p class="note">Nothing is known of the last ${of}.</p>
% endif
% if dropped:
<h3>Packets that were dropped</h3>
<ul>
% for drop in dropped:
<li>${f"{drop.packets:,}"}: ${why.get(drop.reason, drop.reason)}</li>
% endfor
</ul>
% endif
</section>

% if may and not forms:
<p class="refusal" role="alert"><strong>The remote server doesn't answer, so nothing can be changed now.</strong></p>
% endif
% for heading, verbs in changes.items():
% if (may and forms or heading == "Who may") and (heading != "CD" or cds):
<section>
<h2>${heading}</h2>
% if heading == "CD":
<p class="note">There are: ${", ".join(f"{one.name} ({one.description})" if one.description else one.name for one in cds)}.</p>
% endif
% if heading == "Who may":
<ul>
% for one in people:
<li>${one.principal} <small>${"owner" if "owner" in one.roles else "let in"}</small></li>
% endfor
</ul>
% endif
% if may:
% for verb, words in verbs.items():
% if verb in forms:
<details class="change"${" open" if wrong == verb else ""}>
<summary>${words}</summary>
% if wrong == verb:
${self.refusal(refused["error"])}
% endif
<form method="post" action="/machines/${machine.name}/${verb}">
<input type="hidden" name="secret" value="${secret}">
% if verb == "delete":
<p>This would be lost: ${", ".join(f"disk {disk.name} of {disk.size} GiB" for disk in disks) or "no disk"}, the name, its addresses. It can be given back for ${config.storage.trash_days} days.</p>
<div class="field"><label for="typed-name">Type its name</label><input id="typed-name" name="typed_name" autocomplete="off" autocapitalize="off" required maxlength="63"></div>
<button class="danger">Delete ${machine.name}</button>
% else:
% for field in forms[verb].asked("name"):
${self.field(field, typed if wrong == verb else {}, verb)}
% endfor
<button>${words}</button>
% endif
</form>
</details>
% endif
% endfor
% endif
</section>
% endif
% if heading == "Disks" and may and forms:
<section>
<h2>System</h2>
% if offered and "control install" in forms:
<details class="change"${" open" if wrong == "install" else ""}>
<summary>Install a system on its disk</summary>
% if wrong == "install":
${self.refusal(refused["error"])}
% endif
<form method="post" action="/machines/${machine.name}/install">
<input type="hidden" name="secret" value="${secret}">
<p>All that is on disk hda would be lost. The machine must be off.</p>
<div class="field"><label for="autoinstall">System</label><select id="autoinstall" name="autoinstall">
% for one in offered:
<option value="${one.name}"${" selected" if typed.get("autoinstall") == one.name else ""}>${one.name}${f": {one.description}" if one.description else ""} (from ${gib(one.memory)}, ${one.disk} GiB of disk)</option>
% endfor
</select></div>
<div class="field"><label for="install-name">Type its name</label><input id="install-name" name="typed_name" autocomplete="off" autocapitalize="off" required maxlength="63"></div>
<button class="danger">Install</button>
</form>
</details>
% endif
% if "control rescue" in forms:
<details class="change"${" open" if wrong == "rescue" else ""}>
<summary>Boot the rescue system</summary>
% if wrong == "rescue":
${self.refusal(refused["error"])}
% endif
<form method="post" action="/machines/${machine.name}/rescue">
<input type="hidden" name="secret" value="${secret}">
<p>For one that doesn't boot any more: a shell on its console, with its disks and its network. The machine must be off; Reboot ends it. Who may use its console is root there.</p>
<button>Boot the rescue system</button>
</form>
</details>
% endif
</section>
% endif
% if heading == "Who may" and may and config.console.hostname:
<section aria-labelledby="looks">
<h2 id="looks">Shared console</h2>
% if wrong == "look":
${self.refusal(refused["error"])}
% endif
% if looks:
<ul class="rows">
% for look in looks:
<li><span>Look ${look.look_id}, by ${person(look.principal)}, for ${look.minutes} min</span>
<form method="post" action="/machines/${machine.name}/look/end"><input type="hidden" name="secret" value="${secret}"><input type="hidden" name="number" value="${look.look_id}"><button>End<span class="unseen"> look ${look.look_id}</span></button></form></li>
% endfor
</ul>
% else:
<p class="note">Nobody was given a link to look on.</p>
% endif
<form method="post" action="/machines/${machine.name}/look/share"><input type="hidden" name="secret" value="${secret}"><button>Share a look</button></form>
</section>
% endif
% endfor

% if moving:
<section aria-labelledby="where">
<h2 id="where">Where it runs</h2>
% if why_here is None:
<p><a href="?why=all#where">Why there, and what do the other hosts lack?</a></p>
% elif isinstance(why_here, str):
<p class="note">Nobody says why it is there: ${why_here}</p>
% else:
<dl class="facts">
% for one in why_here:
<div><dt>${one["host"]}</dt><dd>${one["says"]}</dd></div>
% endfor
</dl>
% endif
${self.verbs_of("/site/machines", moving, forms, {}, None, name=machine.name)}
</section>
% endif
<section aria-labelledby="history">
<h2 id="history">History</h2>
% if history:
<table class="folds">
<thead><tr><th scope="col">What</th><th scope="col">By</th><th scope="col">State</th><th scope="col">Begun</th></tr></thead>
<tbody>
% for row in history:
<tr><th scope="row"><a href="/operations/${row.operation_id}">${plain(row.kind)}</a>${row.way or ""}</th><td data-label="By">${person(row.principal)}${", an administrator" if row.administrator else ""}</td><td data-label="State">${row.state}${f": {row.error}" if row.error else ""}</td><td data-label="Begun"><time datetime="${row.created_at.isoformat()}">${since(row.created_at)}</time></td></tr>
% endfor
</tbody>
</table>
% else:
<p class="note">Nothing was done to it yet.</p>
% endif
</section>
