// A real OpenID provider for the tests: prints its port as one line of JSON, ends with its stdin.
// Its own pages sign in anybody by name. /service answers as one of DAN's would.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const DAN = Buffer.from('[{"services": ["WS100101_getCitizenIDCardInfo"], "wsdl": "https://xyp.gov.mn/citizen-1.3.0/ws?WSDL"}]')
  .toString('base64');
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'utaa', client_secret: 'a secret of this test alone, long enough',
      redirect_uris: ['https://city.test/signin/provider/callback'],
      token_endpoint_auth_method: 'client_secret_post',
    }],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    scopes: ['openid', DAN],
    cookies: { keys: ['a key of this test alone'] },
  });
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/service') return next();
    const token = await provider.AccessToken.find((ctx.get('authorization') || '').slice(7));
    if (!token) { ctx.status = 401; return undefined; }
    ctx.body = [{ services: { WS100101_getCitizenIDCardInfo: { response: { regnum: token.accountId } } } }];
    return undefined;
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
