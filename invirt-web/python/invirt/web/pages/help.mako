<%inherit file="frame.mako"/>
<%block name="title">Help</%block>
<h1>Help</h1>
<p>A machine is a computer of your own that runs on the site's hosts. You make it, start it, and sign on to it; it counts to your quota.</p>
<h2>From here</h2>
<ul>
<li><a href="/new">Make a machine</a>: choose a name and a size. It is off at first.</li>
<li>On its page start it, see what it uses, let others in, and change what it has. Memory, CPUs and its name change while it is off.</li>
<li>What you delete lies in the trash for ${config.storage.trash_days} days, and can be given back on <a href="/">the first page</a>.</li>
</ul>
<h2>From a terminal</h2>
<p>The same can be done with <code>invirt</code>, or bare: <code>remctl ${config.remote.hostname} machine help</code>.</p>
