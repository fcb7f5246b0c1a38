"""A stand-in for Google's Gemini API: no model, but rules; the same bytes for the same question.

The real SDK speaks to it. Every answer's `modelVersion` says that it is a stand-in.

    app          the API: generateContent, embedContent, batchEmbedContents, countTokens
    words        what it knows of a city's problems, in English and Vietnamese
    rules        texts and pictures to answers, fitted to the schema that was asked for
    embedding    texts to vectors
    pictures     generated pictures, and what it sees in them
    faults       what goes wrong, when it is told to
"""
