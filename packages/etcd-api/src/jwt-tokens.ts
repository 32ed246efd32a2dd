/**
 * Tokens that say themselves for whom they stand, until when, and at which revision of users and
 * roles they were given out, and are signed (RFC 7519). Any member takes them, also after a restart;
 * after a change to users or roles they are too old to read or write with, as in etcd.
 */
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { Identity, KvStateMachine } from '@coracle/kv-state-machine'
import { compactVerify, SignJWT } from 'jose'
import type { AuthEnvironment } from './environment.ts'
import * as errors from './errors.ts'
import type { Tokens } from './tokens.ts'

/** How signing methods are called, and the kind of key (and curve) that each takes. */
const KEYS = {
  RS256: 'rsa',
  RS384: 'rsa',
  RS512: 'rsa',
  PS256: 'rsa',
  PS384: 'rsa',
  PS512: 'rsa',
  ES256: 'ec prime256v1',
  ES384: 'ec secp384r1',
  ES512: 'ec secp521r1',
  HS256: 'secret',
  HS384: 'secret',
  HS512: 'secret',
  EdDSA: 'ed25519',
} as const

export type JwtMethod = keyof typeof KEYS

/** All of them, in the order of the standard. */
export const JWT_METHODS: readonly JwtMethod[] = Object.keys(KEYS) as JwtMethod[]

export interface JwtOptions {
  readonly method: JwtMethod
  /** PEM. Default: what belongs to the private key. Not for the HS methods. */
  readonly publicKey?: Uint8Array
  /** PEM, or the secret of the HS methods. Without it, tokens are taken but not given out. */
  readonly privateKey?: Uint8Array
  /** How long a token is good, in milliseconds, rounded to seconds. Default 5 minutes. */
  readonly ttlMs?: number
}

interface Keys {
  readonly signing: KeyObject | null
  readonly verifying: KeyObject
}

interface Claims {
  readonly identity: Identity
  /** In seconds since 1970. */
  readonly notBefore: number
  /** In seconds since 1970. */
  readonly expiresAt: number
}

/** Verifying costs as much as a put: what was verified is remembered, for so many tokens. */
const MOST_REMEMBERED = 10_000

export interface JwtTokensOptions {
  readonly jwt: JwtOptions
  readonly stateMachine: KvStateMachine
  readonly environment: AuthEnvironment
}

/** Throws a TypeError for keys that cannot be read or are not of the method's kind. */
export function jwtTokens(options: JwtTokensOptions): Tokens {
  const { ttlMs = 300_000 } = options.jwt
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1_000)
    throw new RangeError(`ttlMs must be a whole number of at least 1000, not ${ttlMs}`)
  return new JwtTokens(options, keysOf(options.jwt), Math.round(ttlMs / 1_000))
}

class JwtTokens implements Tokens {
  readonly #options: JwtTokensOptions
  readonly #keys: Keys
  readonly #ttlSeconds: number
  readonly #known = new Map<string, Claims>()

  constructor(options: JwtTokensOptions, keys: Keys, ttlSeconds: number) {
    this.#options = options
    this.#keys = keys
    this.#ttlSeconds = ttlSeconds
  }

  identify(token: string): Identity | null | Promise<Identity | null> {
    const known = this.#known.get(token)
    return known === undefined ? this.#verify(token) : this.#ifGood(known)
  }

  async issue(user: string, revision: number): Promise<string | null> {
    const { jwt, stateMachine } = this.#options
    if (this.#keys.signing === null) throw errors.verifyOnly
    if (stateMachine.auth.revision !== revision) return null
    return new SignJWT({ username: user, revision })
      .setProtectedHeader({ alg: jwt.method, typ: 'JWT' })
      .setExpirationTime(Math.floor(this.#now) + this.#ttlSeconds)
      .sign(this.#keys.signing)
  }

  [Symbol.dispose](): void {
    this.#known.clear()
  }

  get #now(): number {
    return this.#options.environment.timeOfDay() / 1_000
  }

  #ifGood({ identity, notBefore, expiresAt }: Claims): Identity | null {
    const now = this.#now
    return notBefore <= now && now < expiresAt ? identity : null
  }

  async #verify(token: string): Promise<Identity | null> {
    const claims = await this.#claimsOf(token)
    if (claims === null) return null
    const oldest = this.#known.keys().next()
    if (this.#known.size >= MOST_REMEMBERED && !oldest.done) this.#known.delete(oldest.value)
    this.#known.set(token, claims)
    return this.#ifGood(claims)
  }

  async #claimsOf(token: string): Promise<Claims | null> {
    try {
      const algorithms = [this.#options.jwt.method]
      const { payload } = await compactVerify(token, this.#keys.verifying, { algorithms })
      return claimsIn(JSON.parse(new TextDecoder().decode(payload)))
    } catch {
      return null
    }
  }
}

/** What etcd signs, and what others may say beside it (RFC 7519, section 4.1). */
function claimsIn(payload: unknown): Claims | null {
  if (typeof payload !== 'object' || payload === null) return null
  const { username, revision, nbf = 0, exp = Infinity } = payload as Record<string, unknown>
  if (typeof username !== 'string' || typeof nbf !== 'number' || typeof exp !== 'number')
    return null
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0) return null
  return { identity: { user: username, revision }, notBefore: nbf, expiresAt: exp }
}

function keysOf({ method, publicKey, privateKey }: JwtOptions): Keys {
  const kind = KEYS[method]
  if (kind === undefined) throw new TypeError(`there is no signing method ${method}`)
  if (kind === 'secret') {
    if (privateKey === undefined || privateKey.length === 0)
      throw new TypeError(`${method} needs a secret as its private key`)
    const secret = createSecretKey(privateKey)
    return { signing: secret, verifying: secret }
  }
  const signing = privateKey === undefined ? null : readKey('private', privateKey, createPrivateKey)
  const pem = publicKey ?? privateKey
  if (pem === undefined) throw new TypeError(`${method} needs a key`)
  const verifying = readKey(publicKey === undefined ? 'private' : 'public', pem, createPublicKey)
  for (const key of [signing, verifying])
    if (key !== null && kindOf(key) !== kind)
      throw new TypeError(`${method} needs a key of kind ${kind}, not ${kindOf(key)}`)
  return { signing, verifying }
}

function readKey(
  name: string,
  pem: Uint8Array,
  create: (key: { readonly key: Buffer; readonly format: 'pem' }) => KeyObject,
): KeyObject {
  try {
    return create({ key: Buffer.from(pem), format: 'pem' })
  } catch (cause) {
    throw new TypeError(`the ${name} key cannot be read`, { cause })
  }
}

function kindOf(key: KeyObject): string {
  const curve = key.asymmetricKeyDetails?.namedCurve
  return `${key.asymmetricKeyType}${curve === undefined ? '' : ` ${curve}`}`
}
