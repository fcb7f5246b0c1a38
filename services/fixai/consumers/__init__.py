"""The consumers: each does its work on one event at a time, and may do it again.

    description    reports.submitted -> reports.described    text and pictures to a description
    clustering     reports.described -> reports.clustered    the problem that the report is of
    incidents      reports.clustered -> reports.checked      what is said of it, how it stands

What a consumer made of an event is kept (`effects`) before anything is written by it: whoever
does the work again, writes and publishes the same.
"""
