import type { Task } from './task.js';

const list = '<ul id="list"><li>One</li><li>Two</li><li>Three</li></ul>';
const order = `[...document.querySelectorAll('#list > *')].map((item) => item.textContent.trim())`;

const dndKit = (
  constraint: string,
): string => `import { createElement as h, useState } from 'react'; import { createRoot } from 'react-dom/client';
  import { DndContext, PointerSensor, closestCenter, useSensor, useSensors } from '@dnd-kit/core';
  import { SortableContext, arrayMove, useSortable, verticalListSortingStrategy } from '@dnd-kit/sortable';
  function Item({ id }) {
    const { attributes, listeners, setNodeRef, transform } = useSortable({ id });
    const style = { transform: transform ? 'translate(' + transform.x + 'px,' + transform.y + 'px)' : undefined, height: 40 };
    return h('div', { ref: setNodeRef, style, ...attributes, ...listeners }, id);
  }
  function App() {
    const [items, set] = useState(['One', 'Two', 'Three']);
    const sensors = useSensors(useSensor(PointerSensor, { activationConstraint: ${constraint} }));
    const onDragEnd = ({ active, over }) => { if (over) set((now) => arrayMove(now, now.indexOf(active.id), now.indexOf(over.id))); };
    return h(DndContext, { sensors, collisionDetection: closestCenter, onDragEnd },
      h(SortableContext, { items, strategy: verticalListSortingStrategy }, h('div', { id: 'list' }, items.map((id) => h(Item, { key: id, id })))));
  }
  createRoot(document.body.appendChild(document.createElement('main'))).render(h(App));`;

const rows = `Array.from({ length: 1000 }, (_, index) => ({ id: index, name: 'Row ' + index }))`;

/** Lists that are sorted by hand, long lists that hold only what is shown, maps and charts. */
export const pointerTasks: readonly Task[] = [
  {
    name: 'sortablejs',
    html: list,
    source: `import Sortable from 'sortablejs'; new Sortable(document.getElementById('list'));`,
    act: (agent) => agent.drag('listitem "One"', 'listitem "Three"'),
    read: order,
    expected: ['Two', 'Three', 'One'],
  },
  {
    name: 'sortablejs-fallback-with-delay',
    html: list,
    source: `import Sortable from 'sortablejs'; new Sortable(document.getElementById('list'), { forceFallback: true, delay: 200 });`,
    act: (agent) => agent.drag('listitem "One"', 'listitem "Three"'),
    read: order,
    expected: ['Two', 'Three', 'One'],
  },
  {
    name: 'dnd-kit-distance',
    source: dndKit('{ distance: 12 }'),
    act: (agent) => agent.drag('"One"', '"Three"'),
    read: order,
    expected: ['Two', 'Three', 'One'],
  },
  {
    name: 'dnd-kit-delay',
    source: dndKit('{ delay: 500, tolerance: 5 }'),
    act: (agent) => agent.drag('"One"', '"Three"'),
    read: order,
    expected: ['Two', 'Three', 'One'],
  },
  {
    name: 'ag-grid',
    html: '<div id="grid" style="height:300px;width:500px"></div>',
    source: `import { AllCommunityModule, ModuleRegistry, createGrid } from 'ag-grid-community';
      ModuleRegistry.registerModules([AllCommunityModule]);
      createGrid(document.getElementById('grid'), { rowData: ${rows}, columnDefs: [{ field: 'id' }, { field: 'name', editable: true }],
        onCellValueChanged: ({ data }) => (globalThis.state = data) });`,
    act: async (agent) => {
      await agent.click('gridcell "Row 3"', { dblClick: true });
      await agent.fill('textbox "Input Editor"', 'Changed');
      await agent.press('Return');
    },
    expected: { id: 3, name: 'Changed' },
  },
  {
    name: 'ag-grid-last-row',
    html: '<div id="grid" style="height:300px;width:500px"></div>',
    source: `import { AllCommunityModule, ModuleRegistry, createGrid } from 'ag-grid-community';
      ModuleRegistry.registerModules([AllCommunityModule]);
      createGrid(document.getElementById('grid'), { rowData: ${rows}, columnDefs: [{ field: 'id' }, { field: 'name' }],
        onCellClicked: ({ data }) => (globalThis.state = data.id) });`,
    act: async (agent) => {
      await agent.click('gridcell "Row 1"');
      await agent.press('Ctrl+End');
      await agent.click('gridcell "Row 999"');
    },
    expected: 999,
  },
  {
    name: 'tanstack-virtual',
    html: '<div id="scroller" tabindex="0" role="region" aria-label="Rows" style="height:200px;overflow:auto"><div id="rows" style="position:relative"></div></div>',
    source: `import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from '@tanstack/virtual-core';
      const scroller = document.getElementById('scroller'); const inner = document.getElementById('rows');
      const draw = () => {
        inner.style.height = virtual.getTotalSize() + 'px';
        inner.replaceChildren(...virtual.getVirtualItems().map(({ index, start }) => {
          const row = document.createElement('div');
          row.style = 'position:absolute;height:30px;top:' + start + 'px'; row.textContent = 'Row ' + index;
          row.onclick = () => (globalThis.state = index);
          return row;
        }));
      };
      const virtual = new Virtualizer({ count: 5000, getScrollElement: () => scroller, estimateSize: () => 30, scrollToFn: elementScroll,
        observeElementRect, observeElementOffset, onChange: draw });
      virtual._didMount(); virtual._willUpdate(); draw();`,
    act: async (agent) => {
      await agent.click('"Row 2"');
      await agent.press('end');
      await agent.waitFor('Row 4999');
      await agent.click('"Row 4999"');
    },
    expected: 4999,
  },
  {
    name: 'leaflet',
    html: '<div id="map" style="height:300px;width:400px"></div>',
    source: `import L from 'leaflet'; import 'leaflet/dist/leaflet.css';
      const icon = L.divIcon({ iconSize: [24, 24] });
      const map = L.map('map', { zoomAnimation: false, fadeAnimation: false }).setView([50, 10], 5);
      L.marker([50, 10], { icon, title: 'Depot' }).addTo(map).bindPopup('Open until six');
      map.on('zoomend', () => (globalThis.zoom = map.getZoom()));`,
    act: async (agent) => {
      await agent.click('"Zoom in"');
      await agent.click('"Depot"');
      await agent.waitFor('Open until six');
    },
    read: 'zoom',
    expected: 6,
  },
  {
    name: 'leaflet-drag-marker',
    html: '<div id="map" style="height:300px;width:400px"></div>',
    source: `import L from 'leaflet'; import 'leaflet/dist/leaflet.css';
      const icon = L.divIcon({ iconSize: [24, 24] });
      const map = L.map('map', { zoomAnimation: false, fadeAnimation: false }).setView([50, 10], 5);
      L.marker([52, 14], { icon, title: 'Depot', draggable: true }).addTo(map).on('dragend', ({ target }) => {
        globalThis.state = target.getLatLng().distanceTo([49, 6]) < 20000;
      });
      L.marker([49, 6], { icon, title: 'Port' }).addTo(map);`,
    act: (agent) => agent.drag('"Depot"', '"Port"'),
    expected: true,
  },
  {
    name: 'chart-js',
    html: '<div style="width:400px"><canvas id="chart" role="img" aria-label="Sales"></canvas></div>',
    source: `import Chart from 'chart.js/auto';
      new Chart(document.getElementById('chart'), { type: 'bar', options: { animation: false, plugins: { legend: { display: false } },
        onClick: (_, [bar]) => (globalThis.state = bar?.index) },
        data: { labels: ['A', 'B', 'C'], datasets: [{ data: [9, 10, 9] }] } });`,
    act: (agent) => agent.click('"Sales"'),
    expected: 1,
  },
];
