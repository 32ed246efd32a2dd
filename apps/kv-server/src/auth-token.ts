/** What `--auth-token` asks for, and the keys that it names. */
import { readFile } from 'node:fs/promises'
import { type EtcdAuthOptions, JWT_METHODS, type JwtMethod } from '@coracle/etcd-api'
import { parseDuration } from './duration.ts'
import { UsageError } from './usage.ts'

export type AuthToken = { readonly type: 'simple' } | JwtFiles

interface JwtFiles {
  readonly type: 'jwt'
  readonly method: JwtMethod
  readonly publicKeyFile: string | null
  readonly privateKeyFile: string | null
  readonly ttlMs: number
}

const DEFAULT_TTL = '5m'
const KNOWN = ['sign-method', 'pub-key', 'priv-key', 'ttl']

/** Throws a {@link UsageError} for what is neither `simple` nor `jwt,name=value,...`. */
export function parseAuthToken(text: string): AuthToken {
  const [type, ...rest] = text.split(',')
  if (type === 'simple' && rest.length === 0) return { type }
  if (type !== 'jwt')
    throw new UsageError(`--auth-token must be simple or jwt,name=value,..., not '${text}'`)
  const given = new Map(rest.map((each) => nameAndValue(each)))
  if (given.size < rest.length) throw new UsageError('--auth-token says the same thing twice')
  const method = JWT_METHODS.find((each) => each === given.get('sign-method'))
  if (method === undefined)
    throw new UsageError(`--auth-token needs a sign-method, one of ${JWT_METHODS.join(', ')}`)
  const publicKeyFile = given.get('pub-key') ?? null
  const privateKeyFile = given.get('priv-key') ?? null
  if (publicKeyFile === null && privateKeyFile === null)
    throw new UsageError('--auth-token needs a pub-key, a priv-key, or both')
  const ttlMs = parseDuration(given.get('ttl') ?? DEFAULT_TTL)
  if (ttlMs === null || ttlMs < 1_000)
    throw new UsageError(`--auth-token has a ttl that is no time of at least 1s`)
  return { type, method, publicKeyFile, privateKeyFile, ttlMs: Math.round(ttlMs) }
}

function nameAndValue(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  const name = text.slice(0, Math.max(at, 0))
  if (KNOWN.includes(name) && at < text.length - 1) return [name, text.slice(at + 1)]
  throw new UsageError(`--auth-token takes ${KNOWN.join(', ')}, each with a value, not '${text}'`)
}

/** Reads the files. Rejects if one cannot be read. */
export async function loadAuthToken(token: AuthToken): Promise<EtcdAuthOptions['tokens'] & {}> {
  if (token.type === 'simple') return 'simple'
  const { method, publicKeyFile, privateKeyFile, ttlMs } = token
  return {
    method,
    ttlMs,
    ...(publicKeyFile === null ? {} : { publicKey: await readKey(publicKeyFile) }),
    ...(privateKeyFile === null ? {} : { privateKey: await readKey(privateKeyFile) }),
  }
}

async function readKey(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new Error(`--auth-token names the key ${path}, which cannot be read`, { cause })
  }
}
