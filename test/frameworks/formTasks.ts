import type { Task } from './task.js';

const react = `import { createElement as h, useState } from 'react'; import { createRoot } from 'react-dom/client';
const show = (App) => createRoot(document.body.appendChild(document.createElement('main'))).render(h(App));`;

const people = {
  'textbox "Name"': 'Ada',
  'combobox "Colour"': 'Green',
  'checkbox "Terms"': 'true',
  'radio "Large"': 'true',
};
const filled = { name: 'Ada', colour: 'green', terms: true, size: 'large' };

const svelteForm = `<script>
  let name = $state(''), colour = $state('red'), terms = $state(false), size = $state('small');
  const send = (event) => { event.preventDefault(); globalThis.state = { name, colour, terms, size }; };
</script>
<form onsubmit={send}>
  <label>Name <input bind:value={name}></label>
  <label>Colour <select bind:value={colour}><option value="red">Red</option><option value="green">Green</option></select></label>
  <label><input type="checkbox" bind:checked={terms}> Terms</label>
  {#each ['small', 'large'] as one}<label><input type="radio" bind:group={size} value={one}> {one === 'small' ? 'Small' : 'Large'}</label>{/each}
  <button>Send</button>
</form>`;

const fillAndSend: Task['act'] = async (agent) => {
  await agent.form(people);
  await agent.click('button "Send"');
};

/** Forms of the frameworks, and fields of the kits. */
export const formTasks: readonly Task[] = [
  {
    name: 'react-form',
    source: `${react}
      show(() => {
        const [form, set] = useState({ name: '', colour: 'red', terms: false, size: 'small' });
        const put = (part) => set((before) => ({ ...before, ...part }));
        return h('form', { onSubmit: (event) => { event.preventDefault(); globalThis.state = form; } },
          h('label', null, 'Name', h('input', { value: form.name, onChange: (e) => put({ name: e.target.value }) })),
          h('label', null, 'Colour', h('select', { value: form.colour, onChange: (e) => put({ colour: e.target.value }) },
            h('option', { value: 'red' }, 'Red'), h('option', { value: 'green' }, 'Green'))),
          h('label', null, h('input', { type: 'checkbox', checked: form.terms, onChange: (e) => put({ terms: e.target.checked }) }), 'Terms'),
          ['small', 'large'].map((size) => h('label', { key: size }, h('input', { type: 'radio', checked: form.size === size,
            onChange: () => put({ size }) }), size === 'small' ? 'Small' : 'Large')),
          h('button', null, 'Send'));
      });`,
    act: fillAndSend,
    expected: filled,
  },
  {
    name: 'vue-form',
    source: `import { createApp } from 'vue/dist/vue.esm-browser.prod.js';
      createApp({
        data: () => ({ name: '', colour: 'red', terms: false, size: 'small' }),
        methods: { send() { globalThis.state = { ...this.$data }; } },
        template: \`<form @submit.prevent="send"><label>Name <input v-model="name"></label>
          <label>Colour <select v-model="colour"><option value="red">Red</option><option value="green">Green</option></select></label>
          <label><input type="checkbox" v-model="terms"> Terms</label>
          <label><input type="radio" v-model="size" value="small"> Small</label>
          <label><input type="radio" v-model="size" value="large"> Large</label><button>Send</button></form>\`,
      }).mount(document.body.appendChild(document.createElement('main')));`,
    act: fillAndSend,
    expected: filled,
  },
  {
    name: 'svelte-form',
    source: `import { mount } from 'svelte'; import Form from ${JSON.stringify(`svelte-page:${encodeURIComponent(svelteForm)}`)};
      mount(Form, { target: document.body });`,
    act: fillAndSend,
    expected: filled,
  },
  {
    name: 'lit-form',
    html: '<order-form></order-form>',
    source: `import { LitElement, html } from 'lit';
      customElements.define('order-button', class extends LitElement {
        render() { return html\`<button @click=\${() => this.dispatchEvent(new Event('press'))}><slot></slot></button>\`; }
      });
      customElements.define('order-form', class extends LitElement {
        form = { name: '', colour: 'red', terms: false, size: 'small' };
        put(part) { Object.assign(this.form, part); this.requestUpdate(); }
        render() { return html\`<label>Name <input .value=\${this.form.name} @input=\${(e) => this.put({ name: e.target.value })}></label>
          <label>Colour <select @change=\${(e) => this.put({ colour: e.target.value })}><option value="red">Red</option><option value="green">Green</option></select></label>
          <label><input type="checkbox" @change=\${(e) => this.put({ terms: e.target.checked })}> Terms</label>
          <label><input type="radio" name="size" @change=\${() => this.put({ size: 'small' })}> Small</label>
          <label><input type="radio" name="size" @change=\${() => this.put({ size: 'large' })}> Large</label>
          <order-button @press=\${() => (globalThis.state = this.form)}>Send</order-button>\`; }
      });`,
    act: fillAndSend,
    expected: filled,
  },
  {
    name: 'mui-select',
    source: `${react} import { FormControl, InputLabel, MenuItem, Select } from '@mui/material';
      show(() => {
        const [age, set] = useState('');
        return h(FormControl, { fullWidth: true }, h(InputLabel, { id: 'age' }, 'Age'),
          h(Select, { labelId: 'age', label: 'Age', value: age, onChange: (e) => { set(e.target.value); globalThis.state = e.target.value; } },
            [10, 20, 30].map((value) => h(MenuItem, { key: value, value }, ['Ten', 'Twenty', 'Thirty'][value / 10 - 1]))));
      });`,
    act: (agent) => agent.fill('combobox "Age', 'Twenty'),
    expected: 20,
  },
  {
    name: 'mui-autocomplete',
    source: `${react} import { Autocomplete, TextField } from '@mui/material';
      show(() => h(Autocomplete, { options: ['Rome', 'Oslo', 'Lima'], onChange: (_, value) => (globalThis.state = value),
        renderInput: (props) => h(TextField, { ...props, label: 'City' }) }));`,
    act: (agent) => agent.fill('combobox "City"', 'Oslo'),
    expected: 'Oslo',
  },
  {
    name: 'mui-choices',
    source: `${react} import { Checkbox, FormControlLabel, Rating, Slider, Switch } from '@mui/material';
      globalThis.state = {}; const put = (part) => Object.assign(globalThis.state, part);
      show(() => h('div', null,
        h(FormControlLabel, { label: 'Terms', control: h(Checkbox, { onChange: (e) => put({ terms: e.target.checked }) }) }),
        h(FormControlLabel, { label: 'Dark', control: h(Switch, { onChange: (e) => put({ dark: e.target.checked }) }) }),
        h(Rating, { name: 'stars', onChange: (_, stars) => put({ stars }) }),
        h(Slider, { 'aria-label': 'Volume', defaultValue: 30, onChange: (_, volume) => put({ volume }) })));`,
    act: (agent) =>
      agent.form({
        'checkbox "Terms"': 'true',
        'switch "Dark"': 'true',
        'radio "4 Stars"': 'true',
        'slider "Volume"': '55',
      }),
    expected: { terms: true, dark: true, stars: 4, volume: 55 },
  },
  {
    name: 'headless-listbox',
    source: `${react} import { Label, Field, Listbox, ListboxButton, ListboxOption, ListboxOptions } from '@headlessui/react';
      show(() => {
        const [person, set] = useState('Ada');
        return h(Field, null, h(Label, null, 'Person'), h(Listbox, { value: person, onChange: (value) => { set(value); globalThis.state = value; } },
          h(ListboxButton, null, person), h(ListboxOptions, { anchor: 'bottom' },
            ['Ada', 'Grace', 'Edsger'].map((name) => h(ListboxOption, { key: name, value: name }, name)))));
      });`,
    act: (agent) => agent.fill('button "Person', 'Grace'),
    expected: 'Grace',
  },
  {
    name: 'headless-combobox-and-switch',
    source: `${react} import { Combobox, ComboboxInput, ComboboxOption, ComboboxOptions, Field, Label, Switch } from '@headlessui/react';
      globalThis.state = {};
      show(() => {
        const [query, setQuery] = useState(''); const [on, setOn] = useState(false); const [person, set] = useState(null);
        const names = ['Ada', 'Grace', 'Edsger'].filter((name) => name.toLowerCase().includes(query.toLowerCase()));
        return h('div', null, h(Combobox, { value: person, onChange: (name) => { set(name); globalThis.state.name = name; } },
          h(ComboboxInput, { 'aria-label': 'Person', displayValue: (name) => name ?? '', onChange: (e) => setQuery(e.target.value) }),
          h(ComboboxOptions, { anchor: 'bottom' }, names.map((name) => h(ComboboxOption, { key: name, value: name }, name)))),
          h(Field, null, h(Label, null, 'Alerts'), h(Switch, { checked: on, onChange: (value) => { setOn(value); globalThis.state.on = value; } }, '.')));
      });`,
    act: (agent) => agent.form({ 'combobox "Person"': 'Grace', 'switch "Alerts"': 'true' }),
    expected: { name: 'Grace', on: true },
  },
  {
    name: 'react-select',
    source: `${react} import Select from 'react-select';
      show(() => h(Select, { 'aria-label': 'Flavour', onChange: ({ value }) => (globalThis.state = value),
        options: ['Chocolate', 'Vanilla', 'Mint'].map((label) => ({ label, value: label.toLowerCase() })) }));`,
    act: (agent) => agent.fill('combobox "Flavour"', 'Vanilla'),
    expected: 'vanilla',
  },
  {
    name: 'antd-select',
    source: `${react} import { Select } from 'antd';
      show(() => h(Select, { 'aria-label': 'Fruit', style: { width: 200 }, onChange: (value) => (globalThis.state = value), placeholder: 'Pick one',
        options: ['Apple', 'Pear', 'Plum'].map((label) => ({ label, value: label.toLowerCase() })) }));`,
    act: (agent) => agent.fill('combobox "Fruit"', 'Pear'),
    expected: 'pear',
  },
  {
    name: 'antd-options-by-click',
    source: `${react} import { Select } from 'antd';
      show(() => h(Select, { 'aria-label': 'Fruit', style: { width: 200 }, onChange: (value) => (globalThis.state = value),
        options: ['Apple', 'Pear', 'Plum'].map((label) => ({ label, value: label.toLowerCase() })) }));`,
    act: async (agent) => {
      await agent.click('combobox "Fruit"');
      await agent.click('"Plum"');
    },
    expected: 'plum',
  },
  {
    name: 'choices-js',
    html: '<label for="pick">Pick</label><select id="pick"><option value="">None</option><option value="a">Alpha</option><option value="b">Beta</option></select>',
    source: `import Choices from 'choices.js'; import 'choices.js/public/assets/styles/choices.css';
      new Choices(document.getElementById('pick'), { allowHTML: false });
      document.getElementById('pick').addEventListener('change', (event) => (globalThis.state = event.target.value));`,
    act: (agent) => agent.fill('combobox', 'Beta'),
    expected: 'b',
  },
  {
    name: 'tom-select',
    html: '<label for="pick">Pick</label><select id="pick"><option value="">None</option><option value="a">Alpha</option><option value="b">Beta</option></select>',
    source: `import TomSelect from 'tom-select'; import 'tom-select/dist/css/tom-select.css';
      new TomSelect('#pick', { onChange: (value) => (globalThis.state = value) });`,
    act: (agent) => agent.fill('combobox "Pick"', 'Beta'),
    expected: 'b',
  },
  {
    name: 'shoelace-form',
    html: `<form><sl-input name="name" label="Name"></sl-input>
      <sl-select name="colour" label="Colour"><sl-option value="red">Red</sl-option><sl-option value="green">Green</sl-option></sl-select>
      <sl-checkbox name="terms">Terms</sl-checkbox><sl-switch name="dark">Dark</sl-switch><sl-button type="submit">Send</sl-button></form>`,
    source: `import '@shoelace-style/shoelace/dist/themes/light.css';
      for (const part of [import('@shoelace-style/shoelace/dist/shoelace.js')]) await part;
      document.querySelector('form').addEventListener('submit', (event) => {
        event.preventDefault(); globalThis.state = Object.fromEntries(new FormData(event.target));
      });`,
    act: async (agent) => {
      await agent.form({
        'textbox "Name"': 'Ada',
        'combobox "Colour"': 'Green',
        'checkbox "Terms"': 'true',
        'switch "Dark"': 'true',
      });
      await agent.click('button "Send"');
    },
    expected: { name: 'Ada', colour: 'green', terms: 'on', dark: 'on' },
  },
  {
    name: 'material-web-form',
    html: `<form><md-filled-text-field label="Name" name="name"></md-filled-text-field>
      <md-outlined-select label="Colour" name="colour"><md-select-option value="red"><div slot="headline">Red</div></md-select-option>
        <md-select-option value="green"><div slot="headline">Green</div></md-select-option></md-outlined-select>
      <label><md-checkbox name="terms"></md-checkbox> Terms</label>
      <md-filled-button>Send</md-filled-button></form>`,
    source: `import '@material/web/textfield/filled-text-field.js'; import '@material/web/select/outlined-select.js';
      import '@material/web/select/select-option.js'; import '@material/web/checkbox/checkbox.js'; import '@material/web/button/filled-button.js';
      document.querySelector('form').addEventListener('submit', (event) => {
        event.preventDefault(); globalThis.state = Object.fromEntries(new FormData(event.target));
      });`,
    act: async (agent) => {
      await agent.form({ 'textbox "Name"': 'Ada', 'combobox "Colour': 'Green', checkbox: 'true' });
      await agent.click('button "Send"');
    },
    expected: { name: 'Ada', colour: 'green', terms: 'on' },
  },
  {
    name: 'flatpickr',
    html: '<label>Day <input id="day"></label>',
    source: `import flatpickr from 'flatpickr'; import 'flatpickr/dist/flatpickr.css';
      flatpickr('#day', { defaultDate: '2026-03-10', onChange: (_, text) => (globalThis.state = text) });`,
    act: async (agent) => {
      await agent.click('textbox "Day"');
      await agent.click('"March 17, 2026"');
    },
    expected: '2026-03-17',
  },
  {
    name: 'react-datepicker',
    source: `${react} import DatePicker from 'react-datepicker'; import 'react-datepicker/dist/react-datepicker.css';
      show(() => {
        const [day, set] = useState(new Date(2026, 2, 10));
        return h('label', null, 'Day', h(DatePicker, { selected: day, onChange: (value) => { set(value); globalThis.state = value?.toDateString(); } }));
      });`,
    act: async (agent) => {
      await agent.fill('textbox "Day"', '03/17/2026');
      await agent.press('enter');
    },
    expected: 'Tue Mar 17 2026',
  },
];
