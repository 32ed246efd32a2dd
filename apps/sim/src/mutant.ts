/**
 * A mutant is the project with one of its fixes taken out: the sources are copied, a patch brings
 * back the bug, and the copy is built. The working tree is never touched.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Where the patches are. */
export const PATCHES: string = join(root, 'apps/sim/mutations')

export interface Mutation {
  /** The trap it falls into, and what it is called: `T5.1-figure-8`. */
  readonly name: string
  /** What is wrong with the code once the patch is applied. */
  readonly story: string
  /** Whose bug it was. */
  readonly origin: string
}

/** All mutations, in the order of their traps. */
export async function mutations(): Promise<readonly Mutation[]> {
  const files = (await readdir(PATCHES)).filter((file) => file.endsWith('.patch'))
  const all = await Promise.all(files.map(readMutation))
  const order = new Intl.Collator('en', { numeric: true })
  return all.sort((a, b) => order.compare(a.name, b.name))
}

/** The first two lines of a patch say what it does, and where that has happened before. */
async function readMutation(file: string): Promise<Mutation> {
  const [story = '', as = ''] = (await readFile(join(PATCHES, file), 'utf8')).split('\n')
  const origin = /^As in: (.+)$/.exec(as)?.[1]
  if (origin === undefined || story === '')
    throw new TypeError(`${file} begins with what it does and "As in: ", each on a line`)
  return { name: file.slice(0, -'.patch'.length), story, origin }
}

/** A program that simulates with the bug in it. Disposing it removes it. */
export interface Mutant extends AsyncDisposable {
  readonly worker: URL
}

/** Null brings back no bug: the project as it is. Rejects if the patch does not apply. */
export async function breed(mutation: Mutation | null): Promise<Mutant> {
  const folder = await mkdtemp(join(tmpdir(), 'coracle-mutant-'))
  const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    await copySources(folder)
    if (mutation !== null)
      await run('git', ['apply', join(PATCHES, `${mutation.name}.patch`)], { cwd: folder })
    const worker = join(folder, 'worker.js')
    await build({
      entryPoints: [join(folder, 'apps/sim/src/worker.ts')],
      outfile: worker,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      conditions: ['@coracle/source'],
      logLevel: 'silent',
    })
    return { worker: new URL(`file://${worker}`), [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** The packages as the workspace has them, and under the names by which they know each other. */
async function copySources(folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules/@coracle'), { recursive: true })
  const packages = (await readdir(join(root, 'packages'))).map((name) => `packages/${name}`)
  await Promise.all([...packages, 'apps/sim'].map((path) => copyOne(folder, path)))
}

async function copyOne(folder: string, path: string): Promise<void> {
  const manifest = await readFile(join(root, path, 'package.json'), 'utf8').catch(() => null)
  if (manifest === null) return
  await cp(join(root, path, 'src'), join(folder, path, 'src'), { recursive: true })
  await cp(join(root, path, 'package.json'), join(folder, path, 'package.json'))
  const { name } = JSON.parse(manifest) as { readonly name: string }
  await symlink(join(folder, path), join(folder, 'node_modules', name))
}
