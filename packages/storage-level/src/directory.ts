import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Database, type Engine } from './database.ts'
import { REPLACE, StorageError } from './errors.ts'
import { findDamage } from './journal.ts'
import { FORMAT_KEY, FORMAT_VERSION } from './keys.ts'
import { Ledger } from './ledger.ts'

/** What LevelDB puts into a directory, by name. */
const ENGINE_FILE = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/
/** What holds data, and is empty or missing when a crash interrupted the creation. */
const DATA_FILE = /^\d+\.(?:log|ldb|sst)$/

export interface DirectoryOptions {
  readonly fsync: boolean
  readonly createEngine: (location: string) => Engine
}

/**
 * Opens a data directory, or creates it. Fails with a {@link StorageError} rather than touch a
 * directory that holds something else, or start afresh where there was data: a node that forgot
 * its votes could vote twice (§5.2).
 */
export async function openDirectory(
  location: string,
  options: DirectoryOptions,
): Promise<Database> {
  const before = await inspect(location)
  const engine = options.createEngine(location)
  try {
    await engine.open()
  } catch (error) {
    throw openingFailed(location, error)
  }
  const database = new Database(location, engine, { sync: options.fsync })
  try {
    await checkFormat(database, before)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

interface Inspection {
  /** There is data, though perhaps nothing that LevelDB could make sense of. */
  readonly hasData: boolean
}

/** Looks at the directory before LevelDB does, for LevelDB would tidy up what it cannot explain. */
async function inspect(location: string): Promise<Inspection> {
  let names: string[]
  try {
    names = await readdir(location)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { hasData: false }
    throw openingFailed(location, cause)
  }
  const foreign = names.find((name) => !ENGINE_FILE.test(name))
  if (foreign !== undefined)
    throw new StorageError('NOT_A_STORAGE', `holds something else: ${foreign}`, { location })
  const paths = names.filter((name) => DATA_FILE.test(name)).map((name) => join(location, name))
  const sizes = await Promise.all(paths.map(sizeOf))
  const hasData = sizes.some((size) => size > 0)
  if (hasData && !names.includes('CURRENT'))
    throw new StorageError('CORRUPT', `is damaged: the file CURRENT is missing; ${REPLACE}`, {
      location,
    })
  const damage = await findDamage(paths.filter((path) => path.endsWith('.log')).sort())
  if (damage !== null)
    throw new StorageError('CORRUPT', `is damaged: ${damage}; ${REPLACE}`, { location })
  return { hasData }
}

/** A file may be gone by now, if another process uses the directory. LevelDB will find that out. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0
}

async function checkFormat(database: Database, before: Inspection): Promise<void> {
  const { location } = database
  const version = await database.read(FORMAT_KEY, (reader) => reader.u32())
  if (version === FORMAT_VERSION) return
  if (version !== undefined)
    throw new StorageError(
      'NEWER_FORMAT',
      `has format ${version}, and this version knows only ${FORMAT_VERSION}`,
      { location },
    )
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(0xff, 0xff) }
  if ((await database.keys(all, { limit: 1 })).length > 0)
    throw new StorageError('NOT_A_STORAGE', 'holds a LevelDB of something else', { location })
  if (before.hasData) throw database.damage('nothing of its content is left')
  await database.write((batch) => {
    batch.put(FORMAT_KEY, (writer) => writer.u32(FORMAT_VERSION))
    Ledger.create(batch)
  })
}

function openingFailed(location: string, error: unknown): StorageError {
  const cause = (error as Error).cause ?? error
  const { code } = cause as { code?: unknown }
  if (code === 'LEVEL_LOCKED')
    return new StorageError(
      'LOCKED',
      'is in use by another process; stop that one, or use another directory',
      { location, cause },
    )
  if (code === 'LEVEL_CORRUPTION')
    return new StorageError('CORRUPT', `is damaged: ${(cause as Error).message}; ${REPLACE}`, {
      location,
      cause,
    })
  return new StorageError('IO_FAILED', `cannot be opened: ${String(cause)}`, { location, cause })
}
