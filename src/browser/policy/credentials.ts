const userInfo = /^([a-z][a-z\d+.-]*:\/\/)[^/?#@]*@/i;

/** The address without the user name and password in it: they are never shown. */
export function withoutCredentials(url: string): string {
  return url.replace(userInfo, '$1');
}

/** What a page's server asks for, and which call answers it. `challenge`: the header WWW-Authenticate. */
export function describeChallenge(challenge: string, url: string): string {
  const [scheme = ''] = challenge.split(/[\s,]/, 1);
  const realm = /realm="([^"]{0,200})"/i.exec(challenge)?.[1];
  const asks = `It asks for credentials: ${scheme}${realm === undefined ? '' : `, realm ${JSON.stringify(realm)}`}.`;
  if (scheme.toLowerCase() !== 'basic') return `${asks} Send them with emulate and extraHttpHeaders.`;
  return `${asks} Give them with set_credentials {"origin": "${new URL(url).origin}", …}, then navigate_page again.`;
}
