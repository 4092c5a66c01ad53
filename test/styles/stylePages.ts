/** A style sheet whose lines are told in answers: keep their numbers. */
export const sheet = `@layer base, theme;
@layer theme {
  .btn { color: red; background: navy; }
}
@layer base {
  .btn { color: green; border: 2px solid black !important; }
}
.btn { border-color: red; padding: var(--gap) 4px; }
#save { border: 1px dotted blue; }
:root { --gap: 6px; font-family: monospace; }
.card:hover .btn { background: gold; }
.btn:hover { color: white }
@media (min-width: 100px) { @supports (display: grid) { .card { & .btn { margin-inline-start: 7px; } } } }
.card .btn:has(b) { margin-left: 2px; letter-spacing: 1px; colr: red; width: 12foo }
.btn::before { content: '>'; color: lime }
:is(#nope, .btn) { outline: 3px solid red }
`;

export const plainStyles = `<!doctype html><title>Styles</title><link rel=stylesheet href=app.css>
<style>
  .over { position: absolute; inset: 0; z-index: 4 }
  .wrap { position: relative; transform: rotate(0.1deg); height: 90px }
</style>
<div class="card"><button id="save" class="btn primary" style="color: purple">Save <b>now</b></button></div>
<div class="wrap"><a id="link" href="#" style="z-index: 5">go</a><div class="over"></div></div>
<x-tag><span id="slotted">slotted</span></x-tag>
<script>
const root = document.querySelector('x-tag').attachShadow({ mode: 'open' });
root.innerHTML = '<style>:host { color: red !important; font-size: 20px } p { color: orange }</style><p id=inner part=para><slot></slot></p>';
const made = new CSSStyleSheet();
made.replaceSync('p { border: 1px solid red }');
root.adoptedStyleSheets = [made];
const style = document.createElement('style');
style.textContent = 'x-tag::part(para) { color: blue } x-tag { color: black !important; font-size: 10px }';
document.head.append(style);
</script>`;

const mapOf = (mappings: string, ...sources: readonly string[]): string => {
  const map = { version: 3, mappings, names: [], sources, sourcesContent: sources.map(() => '\n\n\n\n') };
  return `/*# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')} */`;
};

/** As Sass makes it of two files: line 1 is line 3 of the one, line 2 is line 2 of the other. */
export const compiledSheet = `.btn{color:red}
.panel .btn{color:gray}
${mapOf('AAEA;ACDA', 'src/_button.scss', 'src/_panel.scss')}`;

export const compiledStyles = `<!doctype html><title>Compiled</title><link rel=stylesheet href=compiled.css>
<div class="panel"><button class="btn">Save</button></div>
<script>
const style = document.createElement('style');
style.textContent = ${JSON.stringify(`.btn{top:1px}\n${mapOf('AACA', 'src/Save.vue')}`)};
document.head.append(style);
</script>`;

export const oddStyles = `<!doctype html><title>Odd</title>
<style>
@keyframes pulse { from { opacity: .2 } to { opacity: .2 } }
#anim { animation: pulse 10s linear infinite; opacity: 1; }
@scope (.near) { p { color: red } }
@scope (.far) { p { color: blue } }
@layer one { #back { color: red } }
@layer two { #back { color: revert-layer } #urgent { color: revert-layer !important; color: blue } }
@layer { #anonymous { color: red !important } } @layer { #anonymous { color: blue !important } }
#urgent { color: pink }
#upright { writing-mode: vertical-rl; margin-inline-start: 4px; margin-top: 5px; block-size: 20px; width: 30px }
#asks { color: inherit }
#unset { top: 1px; position: relative; all: revert }
@property --size { syntax: '<length>'; inherits: false; initial-value: 3px }
#outer { --size: 9px }
#child { height: var(--size); top: var(--missing) }
.small { overflow: hidden; height: 10px; width: 10px; position: relative }
</style>
<div id=anim>a</div><div class=far><div class=near><p id=scoped>x</p></div></div><div id=back>x</div>
<div id=urgent>x</div><div id=anonymous>x</div><div id=upright>v</div><div style="color: teal"><div id=asks>u</div></div>
<div id=unset>u</div><div id=outer><div id=child>i</div></div>
<table id=hint width=50><tr><td>x</table>
<iframe srcdoc="<style>b { color: red }</style><b id=framed>in</b>"></iframe>
<div id=none style="display: none"><i id=hidden>h</i></div>
<div class=small><u id=clipped style="position: absolute; top: 50px; left: 0">c</u></div>
<div id=bg inert><button id=inert>i</button></div><details><summary>s</summary><button id=folded>f</button></details>
<button id=cut style="clip-path: inset(100%)">c</button><fieldset disabled><button id=grouped>g</button></fieldset>
<div id=turned style="transform: rotate(0)"><i id=fixed style="position: fixed; top: 0">f</i></div>
<div id=row style="display: flex; width: 100px"><i id=shrunk style="width: 400px"></i></div>
<div id=share style="display: flex; width: 100px"><i id=based style="width: 40px; flex: 1 1 0"></i></div>
<i id=bounded style="display: block; width: 90px; max-width: 70px"></i>
<style>input::placeholder { color: red } .in::placeholder { color: lime !important }
input::-webkit-slider-thumb { top: 3px } input::file-selector-button { top: 4px }</style>
<input class=in placeholder=p><input type=range><input type=file>
<style>#cell { background: yellow; color: var(--nowhere); width: var(--size) }</style>
<table><tr><td id=cell bgcolor=red>x</table>`;

export const listenerPage = `<!doctype html><title>Listeners</title>
<div id=root><button id=save onclick="hi()"><i>go</i></button></div><x-tag></x-tag>
<script>
const save = document.querySelector('#save'); function onSave(event) { return 1; }
save.addEventListener('click', onSave);
save.addEventListener('click', onSave, { once: true, capture: true });
const root = document.querySelector('#root');
for (let at = 0; at < 5; at++) root.addEventListener('touchstart', () => at, { passive: true });
document.addEventListener('keydown', function onKey() {});
window.onresize = () => 3;
const shadow = document.querySelector('x-tag').attachShadow({ mode: 'open' });
shadow.innerHTML = '<a id=inner>x</a>';
shadow.addEventListener('click', { handleEvent() {} });
shadow.querySelector('a').addEventListener('mouseup', () => 0);
</script>`;
