<%inherit file="frame.mako"/>
<%block name="title">Console of ${machine.name}</%block>
<%block name="head">
<link rel="stylesheet" href="/static/console.css">
</%block>
<div class="head"><h1>Console of ${machine.name}</h1><a class="button" href="/machines/${machine.name}">To ${machine.name}</a></div>
<noscript><p class="refusal" role="alert"><strong>A console needs JavaScript.</strong> <span>By ssh: ssh ${machine.name}@${config.console.hostname}</span></p></noscript>
<p class="note" role="status" id="how">Connecting.</p>
<div class="terminal" id="terminal" data-stream="consoles/${machine.name}"></div>
<div class="search">
<label class="unseen" for="sought">Find in what was printed</label>
<input id="sought" type="search" placeholder="Find" autocomplete="off" spellcheck="false">
<button type="button" id="previous">Earlier</button>
<button type="button" id="next">Later</button>
<button type="button" id="copy">Copy</button>
<button type="button" id="paste">Paste</button>
<button type="button" id="break">Send a break</button>
<button type="button" id="take">Take the keyboard</button>
<button type="button" id="again" hidden>Connect</button>
</div>
<p class="note">Many may look on; one types: who came first, or has taken the keyboard. Ctrl-Shift-C copies what is marked, Ctrl-Shift-V pastes; Ctrl-E c ? tells what else there is, as by <code>ssh ${machine.name}@${config.console.hostname}</code>.</p>
