import { tmpdir } from 'node:os';
import { machines } from '../machines/index.js';
import { flagOf, options } from '../src/config.js';
import { catalogue } from '../src/errors.js';
import { toolGroups } from '../src/tools/defineTool.js';
import { allTools } from '../src/tools/index.js';
import { allStates, readChart } from '../visualizations/chart.js';

/**
 * What clients, operators and stored data rely on, as literals. A change here is a change of what others see: it should
 * be a line that somebody reads, not the side effect of another one.
 */
describe('pinned', () => {
  test('states', () => {
    const states = machines.flatMap(({ machine }) => allStates(readChart(machine)).map(({ id }) => id));
    expect(states).toEqual([
      'session',
      'session.created',
      'session.created.browser',
      'session.created.browser.leasing',
      'session.created.browser.ready',
      'session.created.browser.deferred',
      'session.created.tools',
      'session.created.tools.registering',
      'session.created.tools.registered',
      'session.tools-registered',
      'session.tools-registered.waiting',
      'session.tools-registered.leasing',
      'session.tools-registered.claiming',
      'session.connected',
      'session.active',
      'session.active.serving',
      'session.active.serving.choosing',
      'session.active.serving.idle',
      'session.active.serving.busy',
      'session.active.detached',
      'session.active.draining',
      'session.closed',
      'browser',
      'browser.open',
      'browser.open.connecting',
      'browser.open.ready',
      'browser.unsettled',
      'browser.lost',
      'browser.failed',
      'browser.closed',
      'server',
      'server.starting',
      'server.listening',
      'server.draining',
      'server.draining.sessions',
      'server.draining.browsers',
      'server.stopped',
    ]);
  });

  test('events', () => {
    expect(machines.flatMap(({ name, eventTypes }) => eventTypes.map((type) => `${name} ${type}`))).toEqual([
      'session transport.attached',
      'session transport.detached',
      'session message.received',
      'session request.settled',
      'session browser.leased',
      'session browser.lost',
      'session browser.failed',
      'session session.drain',
      'session session.close',
      'browser connection.opened',
      'browser connection.failed',
      'browser connection.lost',
      'browser browser.wanted',
      'browser browser.close',
      'server listener.opened',
      'server listener.failed',
      'server server.drain',
    ]);
  });

  test('errors: HTTP status, JSON-RPC code, whether to try again', () => {
    const rows = Object.entries(catalogue).map(([reason, entry]) => [
      reason,
      [entry.status, entry.code, entry.retryable],
    ]);
    expect(Object.fromEntries(rows)).toEqual({
      invalid_parameter: [400, -32600, false],
      missing_session: [400, -32600, false],
      parse_error: [400, -32700, false],
      invalid_message: [400, -32600, false],
      forbidden_host: [403, -32012, false],
      forbidden_origin: [403, -32012, false],
      not_found: [404, -32600, false],
      unknown: [404, -32001, false],
      closed: [404, -32001, false],
      not_ready: [503, -32010, true],
      queue_full: [429, -32013, true],
      too_many_sessions: [429, -32013, true],
      too_many_viewers: [429, -32013, true],
      method_not_allowed: [405, -32600, false],
      too_large: [413, -32600, false],
      unsupported_media_type: [415, -32600, false],
      browser_unreachable: [502, -32014, true],
      browser_failed: [502, -32014, true],
      setup_failed: [500, -32014, true],
      setup_timeout: [504, -32014, true],
      draining: [503, -32010, true],
      internal: [500, -32603, false],
    });
  });

  test('no error says "not ready" in a way on which clients throw the session away', () => {
    expect([401, 404]).not.toContain(catalogue.not_ready.status);
    expect(catalogue.not_ready.code).not.toBe(-32602);
  });

  test('flags and their defaults', () => {
    const rows = Object.entries(options.shape).map(([name, schema]) => [
      flagOf(name),
      schema.safeParse(undefined).data,
    ]);
    expect(Object.fromEntries(rows)).toEqual({
      '--host': '127.0.0.1',
      '--port': 32122,
      '--auth': 'none',
      '--allowed-hosts': ['localhost', '127.0.0.1', '[::1]'],
      '--allowed-origins': ['localhost', '127.0.0.1', '[::1]'],
      '--browser': undefined,
      '--browser-url': undefined,
      '--executable-path': undefined,
      '--headless': true,
      '--lease': 'eager',
      '--isolation': undefined,
      '--max-sessions': 100,
      '--max-sessions-per-user': 20,
      '--setup-timeout': 30000,
      '--initialize-timeout': 30000,
      '--idle-timeout': 1800000,
      '--drain-timeout': 10000,
      '--body-limit': 4194304,
      '--tools': ['extension', 'core'],
      '--workspace': [process.cwd(), tmpdir()],
      '--log-level': 'info',
      '--log-format': undefined,
    });
  });

  test('tool groups', () => {
    expect(toolGroups).toEqual([
      'session',
      'pages',
      'input',
      'look',
      'console',
      'network',
      'performance',
      'memory',
      'emulation',
      'storage',
      'extension',
    ]);
  });

  test('tools, in the order of their listing', () => {
    expect(allTools.map(({ name }) => name)).toEqual([
      'get_connected_browser',
      'list_browser_capabilities',
      'get_session_info',
      'list_pages',
      'select_page',
      'new_page',
      'close_page',
      'resize_page',
      'navigate_page',
      'navigate_page_history',
      'wait_for',
      'handle_dialog',
      'take_snapshot',
      'find_in_snapshot',
      'take_screenshot',
      'evaluate_script',
      'click',
      'hover',
      'drag',
      'fill',
      'fill_form',
      'upload_file',
      'press_key',
      'type_text',
      'list_console_messages',
      'get_console_message',
      'list_network_requests',
      'get_network_request',
      'list_websocket_frames',
      'mock_network',
      'performance_start_trace',
      'performance_stop_trace',
      'performance_analyze_insight',
      'take_heapsnapshot',
      'get_heapsnapshot_summary',
      'compare_heapsnapshots',
      'emulate',
      'emulate_cpu',
      'emulate_network',
      'inspect_page_storage',
      'set_page_storage',
      'install_extension',
      'list_extensions',
      'get_extension_details',
      'reload_extension',
      'set_extension_enabled',
      'uninstall_extension',
      'list_extension_contexts',
      'switch_extension_context',
      'evaluate_in_extension',
      'activate_extension_service_worker',
      'stop_extension_service_worker',
      'get_extension_service_worker_status',
      'trigger_extension_action',
      'open_extension_popup',
      'close_extension_popup',
      'open_extension_page',
      'inspect_extension_storage',
      'set_extension_storage',
      'watch_extension_storage',
      'monitor_extension_messages',
      'send_extension_message',
      'trace_extension_api_calls',
      'get_extension_logs',
      'get_extension_runtime_errors',
      'clear_extension_errors',
      'inspect_extension_manifest',
      'check_content_script_injection',
    ]);
  });
});
