/** What a model reads before it calls the tools of this package. */
export const instructions =
  'Debugs Chrome pages and Chrome extensions. Start with new_page or list_pages, look with take_snapshot, act by the ' +
  'uids it prints. Page tools work on the selected page, or on the one that pageId names. For extensions: ' +
  'install_extension, list_extension_contexts, evaluate_in_extension, get_extension_runtime_errors, get_extension_logs.';
