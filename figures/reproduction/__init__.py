"""The report of the reproduction of arXiv:1510.04609, made from the collected results that lie here as json.

python -m figures.reproduction                     README.md and its pictures, from the json files beside them
python -m figures.reproduction --collect OUT ...   first take the results of the runs in OUT (minidl reproduce)
"""
