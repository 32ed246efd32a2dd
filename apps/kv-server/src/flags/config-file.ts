/** Configuration files in YAML, with etcd's keys: names of flags, and sections for TLS and discovery. */
import { readFileSync } from 'node:fs'
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml'
import { ConfigFileError } from '../usage.ts'

/** A flag that the file sets, with what would stand on the command line. */
export interface FileEntry {
  readonly name: string
  readonly text: string
  /** From 1 on. */
  readonly line: number
}

export interface Understood {
  readonly names: readonly string[]
  /** Bare numbers are nanoseconds there, as in etcd. */
  readonly isDuration: (name: string) => boolean
}

/** What each key of a section is called elsewhere. */
interface Section {
  readonly [key: string]: string | Section
}

const SECTIONS: Readonly<Record<string, Section>> = {
  'client-transport-security': {
    'cert-file': 'cert-file',
    'key-file': 'key-file',
    'client-cert-file': 'client-cert-file',
    'client-key-file': 'client-key-file',
    'client-cert-auth': 'client-cert-auth',
    'trusted-ca-file': 'trusted-ca-file',
    'allowed-hostname': 'client-cert-allowed-hostname',
    'auto-tls': 'auto-tls',
  },
  'peer-transport-security': {
    'cert-file': 'peer-cert-file',
    'key-file': 'peer-key-file',
    'client-cert-file': 'peer-client-cert-file',
    'client-key-file': 'peer-client-key-file',
    'client-cert-auth': 'peer-client-cert-auth',
    'trusted-ca-file': 'peer-trusted-ca-file',
    'allowed-cn': 'peer-cert-allowed-cn',
    'allowed-hostname': 'peer-cert-allowed-hostname',
    'skip-client-san-verification': 'peer-skip-client-san-verification',
    'auto-tls': 'peer-auto-tls',
  },
  'discovery-config': {
    token: 'discovery-token',
    endpoints: 'discovery-endpoints',
    'dial-timeout': 'discovery-dial-timeout',
    'request-timeout': 'discovery-request-timeout',
    'keepalive-time': 'discovery-keepalive-time',
    'keepalive-timeout': 'discovery-keepalive-timeout',
    secure: {
      cert: 'discovery-cert',
      key: 'discovery-key',
      cacert: 'discovery-cacert',
      'insecure-transport': 'discovery-insecure-transport',
      'insecure-skip-tls-verify': 'discovery-insecure-skip-tls-verify',
    },
    auth: {
      username: 'discovery-user',
      password: 'discovery-password',
    },
  },
}

/** Nobody writes more by hand. */
const MAX_BYTES = 1 << 20

/** Throws a {@link ConfigFileError} that names the file, and the line if it is about one. */
export function readConfigFile(path: string, understood: Understood): readonly FileEntry[] {
  const lines = new LineCounter()
  const document = parseDocument(read(path), { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  const at = (offset: number): number => lines.linePos(offset).line
  if (error !== undefined)
    throw new ConfigFileError(`${path}:${at(error.pos[0])}: ${error.message.split('\n')[0]}`)
  const { contents } = document
  if (contents === null) return []
  if (!isMap(contents)) throw new ConfigFileError(`${path} must be a mapping of names to values`)
  return new Reader(path, at, understood).entriesOf(contents)
}

function read(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= MAX_BYTES) return bytes.toString()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ConfigFileError(`the configuration file cannot be read: ${why}`)
  }
  throw new ConfigFileError(`${path} is larger than ${MAX_BYTES} bytes`)
}

class Reader {
  readonly #path: string
  readonly #lineAt: (offset: number) => number
  readonly #understood: Understood

  constructor(path: string, lineAt: (offset: number) => number, understood: Understood) {
    this.#path = path
    this.#lineAt = lineAt
    this.#understood = understood
  }

  entriesOf(map: YAMLMap, section?: Section): FileEntry[] {
    return map.items.flatMap(({ key, value }) => {
      const line = this.#lineOf(key)
      const found = String(isScalar(key) ? key.value : key)
      const meaning = this.#meaningOf(found, section)
      if (meaning === null) throw this.#wrong(line, `unknown key ${found}`)
      if (isEmpty(value)) return []
      if (typeof meaning === 'string')
        return [{ name: meaning, text: this.#textOf(meaning, value, line), line }]
      if (isMap(value)) return this.entriesOf(value, meaning)
      throw this.#wrong(line, `${found} must be a mapping`)
    })
  }

  /** The name of a flag, or a section; null if there is neither. */
  #meaningOf(key: string, section: Section | undefined): string | Section | null {
    if (section === undefined && this.#understood.names.includes(key)) return key
    const keys = section ?? SECTIONS
    return Object.hasOwn(keys, key) ? (keys[key] ?? null) : null
  }

  #textOf(name: string, value: unknown, line: number): string {
    if (isSeq(value)) return value.items.map((item) => this.#textOf(name, item, line)).join(',')
    const scalar = isScalar(value) ? value.value : undefined
    if (typeof scalar === 'number' && this.#understood.isDuration(name))
      return scalar === 0 ? '0' : `${scalar}ns`
    if (typeof scalar === 'string' || typeof scalar === 'number' || typeof scalar === 'boolean')
      return String(scalar)
    throw this.#wrong(line, `${name} must be a value or a list of values`)
  }

  #lineOf(key: unknown): number {
    return this.#lineAt(isScalar(key) ? (key.range?.[0] ?? 0) : 0)
  }

  #wrong(line: number, why: string): ConfigFileError {
    return new ConfigFileError(`${this.#path}:${line}: ${why}`)
  }
}

function isEmpty(value: unknown): boolean {
  return value === null || (isScalar(value) && (value.value === null || value.value === ''))
}
