<%inherit file="frame.mako"/>
<%block name="title">${plain(operation.kind).capitalize()} ${operation.machine_name}</%block>
<h1>${plain(operation.kind).capitalize()} ${operation.machine_name}</h1>
<p role="status" id="how">
% if operation.state == "done":
It is done.
% elif going:
${"It is under way" if operation.state == "running" else "It failed, and is being undone"}.
% else:
It is ${operation.state}.
% endif
</p>
% if operation.error:
<div class="refusal" role="alert"><strong>${operation.error}</strong></div>
% endif
<ol class="steps" id="steps" data-operation="${operation.operation_id}">
% for step in steps:
<li class="${step.state}">${plain(step.name)} <small>${step.state}</small></li>
% endfor
</ol>
${self.verbs_of("/site/operations", verbs, forms, {}, None, number=operation.operation_id)}
% if operation.machine:
<p><a class="button" href="/machines/${operation.machine}">To ${operation.machine}</a></p>
% else:
<p><a class="button" href="/">To my machines</a></p>
% endif
<p class="note">Number ${operation.operation_id}, begun ${since(operation.created_at)} by ${person(operation.principal)}.</p>
