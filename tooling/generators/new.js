/**
 * `pnpm new storage redis` makes packages/storage-redis from a template, with a conformance test
 * that fails until the contract is kept. Nothing that exists is overwritten.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const KINDS = ['storage', 'transport', 'state-machine', 'app']
const TEMPLATES = fileURLToPath(new URL('templates', import.meta.url))
const SUFFIX = '.template'

/** Writes the files of a new package below `root`, and answers with the package's folder. */
export function createPackage(root, kind, name) {
  if (!KINDS.includes(kind)) throw new RangeError(`the kind is one of ${KINDS.join(', ')}`)
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name ?? ''))
    throw new RangeError('the name is of lower-case words joined by hyphens, like segmented-log')
  const folder = placeOf(kind, name)
  if (existsSync(join(root, folder))) throw new RangeError(`${folder} exists already`)
  const library = kind === 'app' ? [] : ['library']
  for (const template of ['any', ...library, kind]) {
    for (const file of filesOf(join(TEMPLATES, template))) {
      const text = readFileSync(join(TEMPLATES, template, file), 'utf8')
      const target = join(root, folder, file.slice(0, -SUFFIX.length))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, fillIn(text, { folder, name }))
    }
  }
  return folder
}

function placeOf(kind, name) {
  switch (kind) {
    case 'app':
      return `apps/${name}`
    case 'state-machine':
      return `packages/${name}-state-machine`
    default:
      return `packages/${kind}-${name}`
  }
}

function filesOf(folder) {
  return readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(SUFFIX))
}

function fillIn(text, { folder, name }) {
  const pascal = name.replaceAll(/(?:^|-)(.)/g, (_, letter) => letter.toUpperCase())
  const values = {
    package: folder.slice(folder.indexOf('/') + 1),
    name,
    Name: pascal,
    camelName: pascal[0].toLowerCase() + pascal.slice(1),
  }
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, key) => values[key])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const [kind, name] = process.argv.slice(2)
    const folder = createPackage(process.cwd(), kind, name)
    console.log(`${folder} is there. Its tests fail until it is written:`)
    console.log(`  pnpm vitest --project ${folder.slice(folder.indexOf('/') + 1)}`)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    console.error(`${error.message}\nusage: pnpm new ${KINDS.join('|')} <name>`)
    process.exitCode = 2
  }
}
