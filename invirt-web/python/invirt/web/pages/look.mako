<%inherit file="frame.mako"/>
<%block name="title">Console of ${name}</%block>
<%block name="head">
<link rel="stylesheet" href="/static/console.css">
</%block>
<h1>Console of ${name}</h1>
<noscript><p class="refusal" role="alert"><strong>A console needs JavaScript.</strong></p></noscript>
<p class="note" role="status" id="how">Connecting.</p>
<div class="terminal" id="terminal" data-stream="looks/${token}" data-looks></div>
<div class="search">
<label class="unseen" for="sought">Find in what was printed</label>
<input id="sought" type="search" placeholder="Find" autocomplete="off" spellcheck="false">
<button type="button" id="previous">Earlier</button>
<button type="button" id="next">Later</button>
<button type="button" id="copy">Copy</button>
<button type="button" id="again" hidden>Connect</button>
</div>
<p class="note">You look on at what others do; nothing that you type goes there. This link lasts an hour at most, and its giver can end it before.</p>
