throw new Error('from the file itself')
