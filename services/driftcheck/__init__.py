"""The lab's drift check: are the machines as the site says?

    settings       what should be: an image and a digest of settings for each service
    asking         what the machines say of themselves, as Prometheus has it
    comparing      what differs between the two
    certificates   until when the certificates hold that are really served
    metrics        what Prometheus is told
    app            the rounds, and the pages

It connects to Prometheus and to ports that everybody may open: it can change nothing.
"""
