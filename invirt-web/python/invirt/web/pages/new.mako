<%inherit file="frame.mako"/>
<%block name="title">New machine</%block>
<h1>New machine</h1>
% if error:
${self.refusal(error)}
% endif
<form method="post" action="/new" class="card">
<input type="hidden" name="secret" value="${secret}">
<input type="hidden" name="again" value="${typed["again"]}">
<div class="field">
<label for="name">Name</label>
<input id="name" name="name" value="${typed.get("name", "")}" required maxlength="63" pattern="[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?" title="a-z, 0-9 and -, not first or last" autocapitalize="off" autocomplete="off" spellcheck="false" aria-describedby="name-help"${"" if error else " autofocus"}>
<small id="name-help">a-z, 0-9 and -; it will be NAME.${config.site.domain}</small>
</div>
<fieldset>
<legend>Size</legend>
<div class="choices">
% for name, (memory, disk) in sizes.items():
<label class="choice"><input type="radio" name="size" value="${name}"${" checked" if typed.get("size") == name else ""}><span><strong>${name}</strong> ${gib(memory)} memory, ${disk} GiB disk</span></label>
% endfor
</div>
</fieldset>
<details${" open" if any(typed.get(field.name) for field in fields) or typed.get("memory") or typed.get("disk") else ""}>
<summary>More</summary>
<div class="field"><label for="memory">Memory</label><input id="memory" name="memory" value="${typed.get("memory", "")}" maxlength="20" placeholder="512M"><small>instead of the size's</small></div>
<div class="field"><label for="disk">Disk</label><input id="disk" name="disk" value="${typed.get("disk", "")}" maxlength="20" placeholder="10G"><small>instead of the size's</small></div>
% for field in fields:
${self.field(field, typed, "new")}
% endfor
</details>
% for quota in quotas:
<p class="note">Left to ${quota["name"]}: ${max(0, quota["machines"] - quota["used_machines"])} machines, ${gib(max(0, quota["memory"] - quota["used_memory"]))} of memory, ${max(0, quota["disk"] - quota["used_disk"] - quota["trash"])} GiB of disk.</p>
% endfor
<button class="button">Make it</button>
</form>
