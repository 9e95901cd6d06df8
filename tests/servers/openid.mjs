// An OpenID provider for the tests (oidc-provider, a certified one), with pages that a person or a test can click, access
// tokens that mail servers check by themselves, refresh tokens that change with every use, and faults on demand.
// Its one argument is the file of settings that openid.py writes; /test/… is for the tests alone.
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Provider, errors } from "oidc-provider";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const RESOURCE = "https://correo.example/";
const SCOPES = "openid email offline_access mail";
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const MAIL = { resource: RESOURCE, scope: "mail" };

let seconds = 3600;
let forgiving = false;
let faults = {};
const log = [];

const jwk = createPrivateKey(readFileSync(settings.signing_key)).export({ format: "jwk" });
const provider = new Provider(settings.issuer, {
  clients: [{
    client_id: settings.client_id,
    client_secret: settings.client_secret,
    redirect_uris: settings.redirect_uris,
    grant_types: ["authorization_code", "refresh_token", DEVICE],
    response_types: ["code"],
    token_endpoint_auth_method: settings.client_auth,
    scope: SCOPES,
  }, {
    client_id: settings.public_id,
    redirect_uris: [],
    grant_types: ["refresh_token", DEVICE],
    response_types: [],
    token_endpoint_auth_method: "none",
    scope: SCOPES,
  }],
  jwks: { keys: [{ ...jwk, kid: settings.key_id, use: "sig", alg: "RS256" }] },
  scopes: SCOPES.split(" "),
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: `sujeto-de-${id}`, email: id, email_verified: true }),
  }),
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form) => {
        ctx.body = page("Código", `${form}<button type="submit" form="op.deviceInputForm">Siguiente</button>`);
      },
      userCodeConfirmSource: (ctx, form) => {
        ctx.body = page("Confirmar", `${form}<button type="submit" form="op.deviceConfirmForm">Es mi código</button>`);
      },
      successSource: (ctx) => { ctx.body = page("Listo", "<p>Ya puedes volver a tu programa</p>"); },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "mail",
        accessTokenTTL: seconds > 0 ? seconds : 3600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256", kid: settings.key_id } },
      }),
    },
  },
  // Dovecot wants the address as a claim and the type JWT.
  formats: {
    customizers: {
      jwt: (ctx, token, jwt) => {
        jwt.header = { ...jwt.header, typ: "JWT" };
        jwt.payload.email = token.accountId;
        if (seconds <= 0) jwt.payload.exp = jwt.payload.iat + seconds;
      },
    },
  },
  pkce: { required: () => true },
  rotateRefreshToken: () => !forgiving,
  ttl: { RefreshToken: 86400, Interaction: 3600, Session: 3600, Grant: 86400, IdToken: 3600 },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["solo para pruebas"] },
  renderError: (ctx, out, error) => {
    ctx.type = "html";
    ctx.body = page("Error", `<pre>${escape(JSON.stringify(out))}\n${escape(String(error.stack ?? ""))}</pre>`);
  },
});

// Like Microsoft: the port of a loopback name does not count.
provider.Client.prototype.redirectUriAllowed = function (value) {
  const loopback = (uri) => String(uri).replace(/^(http:\/\/(?:localhost|127\.0\.0\.1)):\d+/, "$1");
  return this.redirectUris.some((uri) => uri === value || loopback(uri) === loopback(value));
};

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><html lang="es"><meta charset="utf-8"><title>${title}</title>
<h1>${title}</h1>${body}</html>`;

const loginPage = (uid, hint) => page("Iniciar sesión", `<form method="post" action="/interaction/${uid}">
<input type="hidden" name="step" value="login">
<label>Correo <input name="login" value="${escape(hint)}"></label> <button>Continuar</button></form>
<form method="post" action="/interaction/${uid}"><input type="hidden" name="step" value="abort">
<button>Cancelar</button></form>`);

const consentPage = (uid, account) => page("Permisos", `<p>${escape(account)}</p><form method="post"
action="/interaction/${uid}"><input type="hidden" name="step" value="consent">
<label><input type="checkbox" name="mail" value="yes" checked> Leer y enviar correo</label>
<button>Permitir</button></form><form method="post" action="/interaction/${uid}">
<input type="hidden" name="step" value="abort"><button>Cancelar</button></form><form method="post"
action="/interaction/${uid}"><input type="hidden" name="step" value="wall"><button>Volver sin aprobación</button></form>`);

// What Microsoft's page «Approval required» leads back with.
const WALL = {
  error: "access_denied",
  error_description: "AADSTS90094: An administrator has to consent. Trace ID: 0a1b2c3d-0000-1111-2222-333344445555",
};

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function answerInteraction(request, response) {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(prompt.name === "login" ? loginPage(uid, params.login_hint ?? "") : consentPage(uid, session.accountId));
    return;
  }
  const form = new URLSearchParams(await readBody(request));
  let result;
  if (form.get("step") === "login") result = { login: { accountId: form.get("login") } };
  else if (form.get("step") === "consent") result = { consent: { grantId: await grantFor(prompt, params, session, grantId, form) } };
  else if (form.get("step") === "wall") result = WALL;
  else result = { error: "access_denied", error_description: "End-User aborted interaction" };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function grantFor(prompt, params, session, grantId, form) {
  const grant = (grantId && await provider.Grant.find(grantId)) ||
    new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(" "));
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  if (form.get("mail") === "yes") grant.addResourceScope(MAIL.resource, MAIL.scope);
  else grant.rejectResourceScope(MAIL.resource, MAIL.scope);
  return grant.save();
}

async function answerTest(request, response) {
  if (request.method === "POST") {
    const order = JSON.parse(await readBody(request));
    if (order.seconds !== undefined) seconds = order.seconds;
    if (order.forgiving !== undefined) forgiving = order.forgiving;
    if (order.faults !== undefined) faults = order.faults;
    if (order.forget) log.length = 0;
  }
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(log));
}

const callback = provider.callback();
const options = { cert: readFileSync(settings.chain), key: readFileSync(settings.key) };
createServer(options, async (request, response) => {
  const path = new URL(request.url, settings.issuer).pathname;
  try {
    if (path === "/test/orders") return await answerTest(request, response);
    if (path.startsWith("/interaction/")) return await answerInteraction(request, response);
    const entry = { method: request.method, path, grant: "", status: 0 };
    log.push(entry);
    response.on("finish", () => { entry.status = response.statusCode; });
    if (request.method === "POST" && path === "/token") {
      request.body = await readBody(request); // oidc-provider takes a body that has been read already
      entry.grant = new URLSearchParams(request.body).get("grant_type") ?? "";
    }
    const fault = faults[path];
    if (fault) {
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      return response.end(typeof fault.body === "string" ? fault.body : JSON.stringify(fault.body));
    }
    return callback(request, response);
  } catch (error) {
    const status = error instanceof errors.OIDCProviderError ? error.statusCode : 500;
    response.writeHead(status, { "content-type": "text/plain" });
    response.end(String(error.stack));
  }
}).listen(settings.port, "127.0.0.1");
