/** Lets a child process run the sources as they are: `node --import <this file> child.ts`. */
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

// The hook below runs in a thread of its own, which loads this file once more.
if (isMainThread) register(import.meta.url)

export async function load(url, context, nextLoad) {
  if (!url.endsWith('.ts')) return nextLoad(url, context)
  const { default: typescript } = await import('typescript')
  const { outputText } = typescript.transpileModule(await readFile(fileURLToPath(url), 'utf8'), {
    compilerOptions: {
      target: typescript.ScriptTarget.ES2022,
      module: typescript.ModuleKind.ESNext,
    },
  })
  return { format: 'module', shortCircuit: true, source: outputText }
}
